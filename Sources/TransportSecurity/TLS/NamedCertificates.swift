import COpenSSL

/// Certificates for one name each, for thousands of names. They are kept as DER with their key, some KiB each. Those that
/// handshakes used last are kept parsed. A value type: ``ServerCertificates`` guards it.
struct NamedCertificates {
    /// The number of parsed certificates.
    static let parsedLimit = 512

    private struct Stored {
        /// DER, the leaf first.
        let chain: [[UInt8]]
        /// Parsed: OpenSSL takes longer to decode a key than all the rest of a handshake.
        let key: PrivateKey
        let notAfter: Int
        let isSelfIssued: Bool
    }

    private var stored: [String: Stored] = [:]
    private var parsed: [String: (pair: ParsedPair, usedAt: UInt64)] = [:]
    private var uses: UInt64 = 0

    var count: Int { stored.count }
    var parsedCount: Int { parsed.count }

    /// - Throws: ``TLSError`` if certificate and key do not belong together, or the certificate is not for the name.
    mutating func set(_ pair: CertificatePair, name: String) throws(TLSError) {
        guard X509_check_private_key(pair.leaf.pointer, pair.key.pointer) == 1 else {
            throw .last(.badCertificate, "the key does not belong to the certificate")
        }
        guard pair.leaf.matches(name: name) else {
            throw TLSError(.badCertificate, "the certificate is not for \(name)")
        }
        var chain: [[UInt8]] = []
        for one in pair.chain { chain.append(try Self.bytes { i2d_X509(one.pointer, $0) }) }
        stored[name] = Stored(
            chain: chain, key: pair.key, notAfter: pair.leaf.notAfter, isSelfIssued: pair.leaf.isSelfIssued)
        parsed[name] = nil
    }

    mutating func forget(_ name: String) {
        stored[name] = nil
        parsed[name] = nil
    }

    func has(_ name: String) -> Bool { stored[name] != nil }

    /// Whether an authority has issued the name's certificate.
    func isTrusted(_ name: String) -> Bool { stored[name].map { !$0.isSelfIssued } ?? false }

    /// Epoch seconds.
    func notAfter(_ name: String) -> Int? { stored[name]?.notAfter }

    /// The certificate of a name, ready for a handshake. Parses it if it was not used lately.
    mutating func pair(for name: String) -> ParsedPair? {
        uses &+= 1
        if let known = parsed[name]?.pair {
            parsed[name]?.usedAt = uses
            return known
        }
        // A certificate that OpenSSL has written, it can read.
        guard let one = stored[name], let pair = ParsedPair(chain: one.chain, key: one.key) else { return nil }
        if parsed.count >= Self.parsedLimit {
            // An eighth at once, so that sorting is rare.
            let oldest = parsed.sorted { $0.value.usedAt < $1.value.usedAt }.prefix(Self.parsedLimit / 8)
            for (name, _) in oldest { parsed[name] = nil }
        }
        parsed[name] = (pair, uses)
        return pair
    }

    private static func bytes(
        _ write: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> CInt
    ) throws(TLSError) -> [UInt8] {
        let count = write(nil)
        guard count > 0 else { throw .last(.failed, "the certificate cannot be written") }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        let written = bytes.withUnsafeMutableBufferPointer { buffer -> CInt in
            var place = buffer.baseAddress
            return write(&place)
        }
        guard written == count else { throw .last(.failed, "the certificate cannot be written") }
        return bytes
    }
}

/// A certificate with its chain and key, as a handshake uses it.
///
/// `@unchecked Sendable`: the OpenSSL objects do not change after they were created. OpenSSL counts references atomically.
final class ParsedPair: @unchecked Sendable {
    private let leaf: Certificate
    private let authorities: [Certificate]
    private let stack: OpaquePointer
    private let key: PrivateKey

    /// - Parameter chain: DER, the leaf first.
    init?(chain: [[UInt8]], key: PrivateKey) {
        let certificates = chain.compactMap(Self.certificate)
        guard let leaf = certificates.first, certificates.count == chain.count,
            let stack = postern_certificates_new()
        else { return nil }
        self.leaf = leaf
        self.key = key
        authorities = Array(certificates.dropFirst())
        self.stack = stack
        for authority in authorities { _ = postern_certificates_push(stack, authority.pointer) }
    }

    // The stack does not own its certificates: ``authorities`` does.
    deinit { postern_certificates_free(stack) }

    /// Presents this certificate on a connection. OpenSSL takes references of its own.
    func use(on ssl: OpaquePointer) -> Bool {
        SSL_use_cert_and_key(ssl, leaf.pointer, key.pointer, stack, 1) == 1
    }

    private static func certificate(_ bytes: [UInt8]) -> Certificate? {
        bytes.withUnsafeBufferPointer { buffer in
            var place = buffer.baseAddress
            return d2i_X509(nil, &place, buffer.count).map(Certificate.init)
        }
    }
}
