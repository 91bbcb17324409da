import Crypto
import Database
import Glibc
import Model
import Synchronization

/// The keys that are not in the database: the master key, on which all sealed values depend, and the audit log's key.
public final class Keyring: Sendable {
    /// The names of files in the state directory.
    public static let masterName = "master.key"
    public static let auditName = "audit.key"
    /// The suffix of the file with the new key during a rotation.
    public static let nextSuffix = ".next"

    let audit: Curve25519.Signing.PrivateKey
    private let masters: Mutex<[MasterKey]>
    private let path: String?

    struct MasterKey: Sendable {
        let key: SymmetricKey
        /// Identifies the master key that wrapped a data key: the beginning of its SHA-256, in hexadecimal.
        let id: String

        init(_ bytes: [UInt8]) {
            key = SymmetricKey(data: bytes)
            id = Hexadecimal.text(SHA256.hash(data: bytes).prefix(8))
        }
    }

    /// Reads the keys of a state directory, or creates them.
    /// - Parameter credential: a file from systemd. It has priority over the state directory's master key.
    /// - Throws: ``StorageError`` that names the file.
    public init(stateDirectory: String, credential: String? = nil) throws {
        let seed = try KeyFile.load("\(stateDirectory)/\(Self.auditName)")
        do {
            audit = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        } catch { throw StorageError(.unavailable, "\(stateDirectory)/\(Self.auditName) is not a valid key") }
        if let credential, let bytes = try KeyFile.read(credential) {
            masters = Mutex([MasterKey(bytes)])
            path = nil
        } else {
            let path = "\(stateDirectory)/\(Self.masterName)"
            masters = Mutex(try Self.masters(at: path))
            self.path = path
        }
    }

    /// The key that wraps data keys now. The files are read again, because another process may be rotating the key or
    /// may have rotated it. During a rotation the new key is used: the old one will be removed.
    /// - Throws: ``StorageError``.
    func newestMaster() throws -> MasterKey {
        if let path {
            let found = try Self.masters(at: path)
            masters.withLock { $0 = found }
        }
        return masters.withLock { $0[0] }
    }

    /// The master key with this id. The file is read again, because another process may have rotated the key.
    /// - Throws: ``StorageError``.
    func master(id: String) throws -> MasterKey {
        if let known = masters.withLock({ $0.first { $0.id == id } }) { return known }
        if let path {
            let found = try Self.masters(at: path)
            masters.withLock { $0 = found }
            if let known = found.first(where: { $0.id == id }) { return known }
        }
        throw StorageError(
            .unavailable,
            "the secrets in the database are sealed with another master key (\(id)); "
                + "restore \(Self.masterName) from the backup that belongs to it")
    }

    private static func masters(at path: String) throws -> [MasterKey] {
        // The order matters: a rotation that ends in between has renamed the second file to the first one.
        let next = try KeyFile.read(path + nextSuffix)
        let key = try KeyFile.load(path)
        return (next.map { [MasterKey($0)] } ?? []) + [MasterKey(key)]
    }

    /// Creates a new master key and passes it to `rewrap`. The rotation succeeds only if `rewrap` does. A crash at any
    /// moment leaves a key that opens everything: the new key gets its final name only after all data keys are wrapped
    /// with it.
    /// - Throws: ``Refusal`` if the key is a credential; ``StorageError``; errors of `rewrap`.
    func rotate<Success: Sendable>(_ rewrap: () async throws -> Success) async throws -> Success {
        guard let path else {
            throw Refusal(.invalid, "The master key is a systemd credential; replace the credential instead.")
        }
        _ = try KeyFile.load(path + Self.nextSuffix)
        let outcome = try await rewrap()
        guard rename(path + Self.nextSuffix, path) == 0 else {
            throw StorageError(.failed, "cannot rename \(path)\(Self.nextSuffix): \(String(cString: strerror(errno)))")
        }
        try KeyFile.syncDirectory(of: path)
        return outcome
    }
}
