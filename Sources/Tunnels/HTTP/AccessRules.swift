import Crypto
import FoundationEssentials
import HTTP1
import Limits
import Wire

/// Decides who may use a tunnel, for every request and every connection. It fails closed: options that cannot be parsed
/// are refused when the tunnel starts.
struct AccessRules: Sendable {
    private let allow: [AddressRange]?
    private let deny: [AddressRange]
    /// SHA-256 of each `NAME:PASSWORD`.
    private let passwords: [[UInt8]]
    private let path: String?

    /// The reason why options cannot be used, as a sentence.
    struct Problem: Error { let message: String }

    /// The maximum number of entries in one list.
    private static let listLimit = 1000

    init(_ options: TunnelOptions) throws(Problem) {
        allow = try options.allow.map { list throws(Problem) in try Self.ranges(list, "allow") }
        deny = try Self.ranges(options.deny ?? [], "deny")
        var digests: [[UInt8]] = []
        for pair in options.basicAuth ?? [] {
            guard let colon = pair.firstIndex(of: ":"), colon != pair.startIndex, pair.utf8.count <= 512,
                pair[pair.index(after: colon)...].utf8.count >= 8
            else {
                throw Problem(
                    message: "A basic-auth entry must be NAME:PASSWORD, with a password of at least 8 characters.")
            }
            digests.append(Array(SHA256.hash(data: Data(pair.utf8))))
        }
        if let given = options.basicAuth, given.isEmpty {
            throw Problem(message: "The list of basic-auth entries is empty.")
        }
        passwords = digests
        if let path = options.path {
            guard path.hasPrefix("/"), path.utf8.count <= 1024, !path.contains("?"), !path.contains("#") else {
                throw Problem(message: "The path must begin with a slash and have no query.")
            }
            let trimmed = path.hasSuffix("/") ? String(path.dropLast()) : path
            self.path = trimmed.isEmpty ? nil : trimmed
        } else {
            path = nil
        }
    }

    private static func ranges(_ list: [String], _ what: String) throws(Problem) -> [AddressRange] {
        guard list.count <= listLimit else {
            throw Problem(message: "The list \(what) has more than \(listLimit) entries.")
        }
        var ranges: [AddressRange] = []
        for text in list {
            guard let range = AddressRange(text) else {
                let quoted = text.prefix(64)
                throw Problem(message: "'\(quoted)' in \(what) is not an address or a network, as in 203.0.113.0/24.")
            }
            ranges.append(range)
        }
        return ranges
    }

    func admits(_ address: ClientAddress) -> Bool {
        if deny.contains(where: { $0.contains(address) }) { return false }
        return allow?.contains { $0.contains(address) } ?? true
    }

    var wantsPassword: Bool { !passwords.isEmpty }

    /// - Parameter authorization: the header's value.
    func accepts(_ authorization: String?) -> Bool {
        guard let authorization, authorization.lowercased().hasPrefix("basic "),
            let decoded = Data(base64Encoded: String(authorization.dropFirst(6).trimmingSpaces()))
        else { return false }
        let digest = Array(SHA256.hash(data: decoded))
        // All entries are compared, each in constant time.
        return passwords.reduce(false) { found, known in
            zip(known, digest).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0 || found
        }
    }

    /// - Parameter target: the target as sent in the request.
    func covers(_ target: String) -> Bool {
        guard let path else { return true }
        // Compare bytes: a character that Swift combines with a question mark or a slash must not hide it.
        let asked = Array(target.utf8.prefix { $0 != UInt8(ascii: "?") })
        let allowed = Array(path.utf8)
        guard asked == allowed || asked.starts(with: allowed + [UInt8(ascii: "/")]) else { return false }
        return !Self.leads(upwards: asked)
    }

    /// Whether a service could read a part of the path as `.` or `..`: percent-encoded, with backslashes, or followed by parameters.
    private static func leads(upwards path: [UInt8]) -> Bool {
        let plain = decoded(path).map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 }
        return plain.split(separator: UInt8(ascii: "/")).contains { part in
            let name = Array(part.prefix { $0 != UInt8(ascii: ";") })
            return name == Array(".".utf8) || name == Array("..".utf8)
        }
    }

    private static func decoded(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let digits = index + 2 < bytes.count ? String(decoding: bytes[index + 1...index + 2], as: UTF8.self) : ""
            if bytes[index] == UInt8(ascii: "%"), let byte = UInt8(digits, radix: 16) {
                out.append(byte)
                index += 3
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return out
    }
}
