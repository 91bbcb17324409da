import Crypto
import Database
import Glibc
import Model
import Synchronization

/// The keys that are not in the database: the master key, which everything sealed depends on, and the audit log's.
public final class Keyring: Sendable {
    /// File names in the state directory.
    public static let masterName = "master.key"
    public static let auditName = "audit.key"
    /// A rotation that has not ended yet leaves the new key here.
    public static let nextSuffix = ".next"

    let audit: Curve25519.Signing.PrivateKey
    private let masters: Mutex<[MasterKey]>
    private let path: String?

    struct MasterKey: Sendable {
        let key: SymmetricKey
        /// Tells which master key wrapped a data key: the beginning of its SHA-256, in hexadecimal.
        let id: String

        init(_ bytes: [UInt8]) {
            key = SymmetricKey(data: bytes)
            id = Hexadecimal.text(SHA256.hash(data: bytes).prefix(8))
        }
    }

    /// Reads the keys of a state directory, or makes them.
    /// - Parameter credential: a file that systemd hands over; it wins over the state directory's master key.
    /// - Throws: ``StorageError`` that names the file.
    public init(stateDirectory: String, credential: String? = nil) throws {
        let seed = try KeyFile.load("\(stateDirectory)/\(Self.auditName)")
        do {
            audit = try Curve25519.Signing.PrivateKey(rawRepresentation: seed)
        } catch { throw StorageError(.unavailable, "\(stateDirectory)/\(Self.auditName) is no key") }
        if let credential, let bytes = try KeyFile.read(credential) {
            masters = Mutex([MasterKey(bytes)])
            path = nil
        } else {
            let path = "\(stateDirectory)/\(Self.masterName)"
            masters = Mutex(try Self.masters(at: path))
            self.path = path
        }
    }

    /// What wraps data keys now: the files are looked at again, because another process may be rotating or have rotated.
    /// A key on its way in wins: the one that it replaces will be gone.
    /// - Throws: ``StorageError``.
    func newestMaster() throws -> MasterKey {
        if let path {
            let found = try Self.masters(at: path)
            masters.withLock { $0 = found }
        }
        return masters.withLock { $0[0] }
    }

    /// The master key of this id; the file is looked at again, because another process may have rotated it.
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
        // In this order: a rotation that ends in between has made the second file the first one.
        let next = try KeyFile.read(path + nextSuffix)
        let key = try KeyFile.load(path)
        return (next.map { [MasterKey($0)] } ?? []) + [MasterKey(key)]
    }

    /// Makes a new master key and hands it to `rewrap`, whose success decides. A crash at any moment leaves a key that
    /// opens everything: the new one gets its name only after all data keys are wrapped with it.
    /// - Throws: ``Refusal`` where the key is a credential; ``StorageError``; what `rewrap` throws.
    func rotate<Success: Sendable>(_ rewrap: () async throws -> Success) async throws -> Success {
        guard let path else {
            throw Refusal(.invalid, "The master key is a systemd credential; change it where it is kept.")
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
