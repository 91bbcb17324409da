import Crypto
public import Database
public import Model
public import Storage
public import Tunnels

/// The keys that sign members' identities for services. Each is derived from a signing key of the server, and rotates
/// with it.
public enum IdentityKeys {
    /// - Throws: ``StorageError``.
    public static func signer(issuer: String, now: Timestamp, in database: Transaction) throws -> IdentitySigner? {
        guard let newest = try SigningKey.rotateIfDue(now: now, in: database).first, let key = key(of: newest) else {
            return nil
        }
        return IdentitySigner(keyId: newest.id, key: key, issuer: issuer)
    }

    /// The public keys by their ids.
    /// - Throws: ``StorageError``.
    public static func publicKeys(now: Timestamp, in database: Transaction) throws -> [(id: String, bytes: [UInt8])] {
        try SigningKey.valid(now: now, in: database).compactMap { signing in
            key(of: signing).map { (signing.id, Array($0.publicKey.rawRepresentation)) }
        }
    }

    private static func key(of signing: SigningKey) -> Curve25519.Signing.PrivateKey? {
        let seed = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: signing.secret), info: Array("postern member identity".utf8),
            outputByteCount: 32)
        return try? Curve25519.Signing.PrivateKey(rawRepresentation: seed.withUnsafeBytes { Array($0) })
    }
}
