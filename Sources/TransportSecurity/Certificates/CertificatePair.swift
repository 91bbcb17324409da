import COpenSSL

/// A certificate with its chain and its key, checked to belong together.
public struct CertificatePair: Sendable {
    /// The leaf first.
    public let chain: [Certificate]
    public let key: PrivateKey

    // `init` refuses an empty chain.
    public var leaf: Certificate { chain[0] }

    /// - Throws: ``TLSError`` that says which half is wrong.
    public init(chain: [Certificate], key: PrivateKey) throws(TLSError) {
        guard !chain.isEmpty else { throw TLSError(.badCertificate, "there is no certificate") }
        self.chain = chain
        self.key = key
        // Making a context checks the pair.
        _ = try TLSContext.certificate(self)
    }

    /// A pair that this server has stored itself. Only checked to belong together: a context for each of thousands of
    /// pairs would take seconds at the start.
    /// - Throws: ``TLSError`` that says which half is wrong.
    public init(storedCertificatePEM: String, keyPEM: String) throws(TLSError) {
        chain = try Certificate.chain(pem: storedCertificatePEM)
        key = try PrivateKey(pem: keyPEM)
        guard !chain.isEmpty, X509_check_private_key(chain[0].pointer, key.pointer) == 1 else {
            throw .last(.badCertificate, "the key does not belong to the certificate")
        }
    }

    /// - Throws: ``TLSError`` that says which half is wrong.
    public init(certificatePEM: String, keyPEM: String) throws(TLSError) {
        try self.init(chain: Certificate.chain(pem: certificatePEM), key: PrivateKey(pem: keyPEM))
    }

    /// - Throws: ``TLSError``.
    public func certificatePEM() throws(TLSError) -> String {
        var text = ""
        for certificate in chain { text += try certificate.pem() }
        return text
    }
}
