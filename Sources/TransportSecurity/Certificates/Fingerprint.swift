import COpenSSL
import Model

/// The SHA-256 of a certificate. Clients pin it, and people compare it.
public struct Fingerprint: Sendable, Equatable, Codable, CustomStringConvertible {
    /// 32 bytes.
    let bytes: [UInt8]

    /// Reads 64 hexadecimal digits, with or without colons, with or without `sha256:` in front.
    public init?(_ text: String) {
        var digits = text.lowercased()[...]
        if digits.hasPrefix("sha256:") { digits = digits.dropFirst("sha256:".count) }
        let nibbles = digits.filter { $0 != ":" }.map(\.hexDigitValue)
        guard nibbles.count == 64 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard let high = nibbles[index], let low = nibbles[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        self.bytes = bytes
    }

    /// Matches no certificate. If it is used as a pin, the handshake fails and reports the fingerprint it found.
    public static let none = Fingerprint(bytes: [UInt8](repeating: 0, count: 32))

    private init(bytes: [UInt8]) { self.bytes = bytes }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let read = Fingerprint(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a fingerprint"))
        }
        self = read
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    init(of certificate: OpaquePointer) {
        var digest = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 32
        X509_digest(certificate, EVP_sha256(), &digest, &length)
        bytes = digest
    }

    /// The fingerprint of the public key in a certificate (its SubjectPublicKeyInfo, RFC 5280, section 4.1.2.7). The
    /// key may be used for longer than the certificate.
    init(ofKeyIn certificate: OpaquePointer) {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded)
        guard count > 0, let encoded else {
            // A certificate without a key matches no fingerprint.
            bytes = [UInt8](repeating: 0, count: 32)
            return
        }
        defer { CRYPTO_free(encoded, nil, 0) }
        var digest = [UInt8](repeating: 0, count: 32)
        SHA256(encoded, Int(count), &digest)
        bytes = digest
    }

    /// 64 hexadecimal digits.
    public var hexadecimal: String { Hexadecimal.text(bytes) }

    /// `sha256:…`
    public var description: String { "sha256:\(hexadecimal)" }
}
