import TransportSecurity

/// A machine's key, as it comes: in a certificate that the machine has made itself, which is only an envelope for the key.
public enum MachineKey {
    /// Bytes of PEM that a certificate of one key needs at most.
    private static let limit = 4096

    /// - Returns: SHA-256 of the public key, 64 hexadecimal digits; nil where it is no certificate, or not signed with the key in it.
    public static func fingerprint(certificate pem: String) -> String? {
        guard pem.utf8.count <= limit, let chain = try? Certificate.chain(pem: pem), chain.count == 1,
            let leaf = chain.first, leaf.isSignedWithItsOwnKey
        else { return nil }
        return leaf.keyFingerprint.hexadecimal
    }
}
