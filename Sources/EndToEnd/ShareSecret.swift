import FoundationEssentials
public import Wire

/// The part of an invitation that the relay never sees: two spoken words, or 128 bits in a link's fragment.
public enum ShareSecret: Sendable, Equatable {
    /// Two words of ``Words/list``. They are safe only because every guess needs the host's cooperation, and the host
    /// counts guesses.
    case words(String)
    /// 32 hexadecimal digits.
    case link(String)

    public static func randomWords() -> ShareSecret {
        var generator = SystemRandomNumberGenerator()
        let words = (0..<2).map { _ in Words.list[Int.random(in: 0..<Words.list.count, using: &generator)] }
        return .words(words.joined(separator: "-"))
    }

    public static func randomLink() -> ShareSecret {
        var generator = SystemRandomNumberGenerator()
        let digits = (0..<32).map { _ in String(UInt8.random(in: 0..<16, using: &generator), radix: 16) }
        return .link(digits.joined())
    }

    /// The secret in spoken or written form.
    public var text: String {
        switch self {
        case .words(let text), .link(let text): text
        }
    }

    /// The byte that identifies the kind of secret in the handshake.
    var kind: UInt8 {
        switch self {
        case .words: 0
        case .link: 1
        }
    }
}

/// What a guest was told: a code and its secret.
public struct ShareInvitation: Sendable, Equatable {
    public let code: ShareCodeId
    public let secret: ShareSecret
    /// The appliance's address; nil if no link named it.
    public let server: String?
    /// The SHA-256 of the appliance's certificate, 64 hexadecimal digits; nil if no link contained it.
    public let fingerprint: String?

    public init(code: ShareCodeId, secret: ShareSecret, server: String? = nil, fingerprint: String? = nil) {
        self.code = code
        self.secret = secret
        self.server = server
        self.fingerprint = fingerprint
    }

    /// `SYCLX-7K2Q9M-cactus-violin`. It is read aloud, so case does not matter.
    public var spoken: String { "\(code)-\(secret.text)" }

    /// `https://appliance/j/SYCLX-7K2Q9M#…`. If the appliance has a self-signed certificate, `.` and its fingerprint
    /// follow the secret. Browsers never send the fragment to a server.
    public func link(server: String) -> String {
        "\(server)/j/\(code)#\(secret.text)\(fingerprint.map { ".\($0)" } ?? "")"
    }

    /// The first of the words that looks mistyped, and the closest word of the list.
    ///
    /// A word that is neither in the list nor close to a listed word is not reported: the host may be newer and have
    /// other words.
    public var likelyMistake: (typed: String, meant: String)? {
        guard case .words(let text) = secret else { return nil }
        return text.split(separator: "-").lazy.compactMap { word in
            Words.closest(to: String(word)).map { (String(word), $0) }
        }.first
    }

    /// Parses either form, in any case. Spoken parts may be separated by blanks or hyphens.
    /// - Returns: nil if it is neither form. The spelling of the words is not checked here, because the host does that.
    public init?(_ text: String) {
        let trimmed = text.filter { !$0.isWhitespace }
        if let fragment = trimmed.firstIndex(of: "#") {
            let address = trimmed[..<fragment]
            let parts = trimmed[trimmed.index(after: fragment)...].lowercased()
                .split(separator: ".", omittingEmptySubsequences: false).map(String.init)
            let secret = parts[0]
            guard secret.count == 32, parts.count <= 2, parts.allSatisfy({ $0.allSatisfy(\.isHexDigit) }),
                parts.count == 1 || parts[1].count == 64, let slash = address.firstRange(of: "/j/"),
                let code = ShareCodeId(String(address[slash.upperBound...]))
            else { return nil }
            self.init(
                code: code, secret: .link(secret), server: String(address[..<slash.lowerBound]),
                fingerprint: parts.count == 2 ? parts[1] : nil)
            return
        }
        // The code may contain a hyphen or not: SYCLX-7K2Q9M-a-b, SYCLX7K2Q9M-a-b, syclx 7k2q9m a b.
        let parts = text.split { $0.isWhitespace || $0 == "-" }.map(String.init)
        guard let first = parts.first else { return nil }
        let codeParts = first.uppercased() == ShareCodeId.brand ? 2 : 1
        guard parts.count == codeParts + 2, let code = ShareCodeId(parts[..<codeParts].joined(separator: "-")),
            parts[codeParts...].allSatisfy({ $0.allSatisfy(\.isLetter) })
        else { return nil }
        self.init(code: code, secret: .words(parts[codeParts...].joined(separator: "-").lowercased()))
    }
}
