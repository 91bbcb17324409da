import COpenSSL

/// A certificate's private key.
///
/// `@unchecked Sendable`: the EVP_PKEY does not change after it was created. OpenSSL counts its references atomically.
public final class PrivateKey: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }

    /// Generates an ECDSA key on P-256: handshakes are small, and every client supports it.
    /// - Throws: ``TLSError``.
    public static func generate() throws(TLSError) -> PrivateKey {
        guard let key = postern_EVP_EC_gen_P256() else { throw .last(.failed, "a key cannot be created") }
        return PrivateKey(key)
    }

    /// Reads the text of a PEM file. Keys with a passphrase are not supported: a person would have to type it at every
    /// start.
    /// - Throws: ``TLSError``.
    public convenience init(pem: String) throws(TLSError) {
        // The callback keeps OpenSSL from asking for a passphrase on the terminal.
        let found = PEM.read(pem) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in 0 }, nil) }
        guard let found else { throw .last(.badCertificate, "no private key without a passphrase was found") }
        self.init(found)
    }

    /// PKCS #8 in PEM. Throws ``TLSError``.
    public func pem() throws(TLSError) -> String {
        let text = PEM.write { PEM_write_bio_PKCS8PrivateKey($0, pointer, nil, nil, 0, nil, nil) }
        guard let text else { throw .last(.failed, "the key cannot be written") }
        return text
    }
}
