import TransportSecurity

/// A machine's key. It is sent in a certificate that the machine has created itself. The certificate only carries the key.
public enum MachineKey {
    /// The maximum size of the PEM of a certificate with one key, in bytes.
    private static let limit = 4096

    /// - Returns: SHA-256 of the public key, 64 hexadecimal digits. Nil if the text is not a certificate, or is not
    ///   signed with its own key.
    public static func fingerprint(certificate pem: String) -> String? {
        guard pem.utf8.count <= limit, let chain = try? Certificate.chain(pem: pem), chain.count == 1,
            let leaf = chain.first, leaf.isSignedWithItsOwnKey
        else { return nil }
        return leaf.keyFingerprint.hexadecimal
    }
}
