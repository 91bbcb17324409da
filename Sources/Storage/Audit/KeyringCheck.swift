import Database
import Glibc

/// Checks that keys and database belong together. A wrong key that is found later makes every sign-in fail, or makes
/// every audit log look forged.
extension Keyring {
    /// The number of heads and data keys that are checked: one is enough to tell keys apart, and several tell a wrong
    /// key from one changed row.
    private static let samples = 20

    /// An empty or missing database next to existing keys is an accident, not a new server. Otherwise its owner would
    /// be asked to set it up again, and its scheduled backups would replace the good ones.
    /// - Throws: ``StorageError``.
    static func refuseToBeginAnew(stateDirectory: String) throws {
        let database = "\(stateDirectory)/\(Database.fileName)"
        var found = stat()
        if stat(database, &found) == 0, found.st_size > 0 { return }
        let keys = [masterName, auditName].filter { access("\(stateDirectory)/\($0)", F_OK) == 0 }
        guard !keys.isEmpty else { return }
        throw StorageError(
            .unavailable,
            "\(database) is empty or missing, but \(keys.joined(separator: " and ")) of a server exist; restore a "
                + "backup with 'postern restore', or move the keys away to start a new server")
    }

    /// If a key is missing next to a database that was used with one, the key is lost. Creating a new key would only hide that.
    /// - Parameter credential: a file from systemd that replaces the master key.
    /// - Throws: ``StorageError`` `.unavailable` naming the file.
    static func refuseToReplace(
        stateDirectory: String, credential: String?, usedBy connection: Transaction
    ) throws {
        let hasLogs = try !Audit.heads(atMost: 1, in: connection).isEmpty
        let hasSecrets = try Vault.isUsed(in: connection)
        for (name, isUsed) in [(auditName, hasLogs), (masterName, hasSecrets && credential == nil)]
        where isUsed && access("\(stateDirectory)/\(name)", F_OK) != 0 {
            throw StorageError(
                .unavailable,
                "\(stateDirectory)/\(name) is missing; restore it from the backup that belongs to the database")
        }
    }

    /// - Throws: ``StorageError`` `.unavailable` naming the key that does not belong to the database.
    func check(in connection: Transaction) throws {
        try Vault.check(in: connection, samples: Self.samples)
        let heads = try Audit.heads(atMost: Self.samples, in: connection)
        guard heads.isEmpty || heads.contains(where: { $0.head.isSigned($0.organisationId, self) }) else {
            throw StorageError(
                .unavailable,
                "\(Self.auditName) is not the key that has signed this database's audit logs; restore it from the backup that "
                    + "belongs to it")
        }
    }

    /// Finds a problem with the keys of a state directory, for `postern doctor`. Creates nothing.
    /// - Parameter credential: a file from systemd.
    /// - Returns: a sentence, or nil if the keys belong to the database.
    public static func problem(stateDirectory: String, credential: String? = nil) -> String? {
        do {
            try refuseToBeginAnew(stateDirectory: stateDirectory)
            guard try KeyFile.read("\(stateDirectory)/\(auditName)") != nil else {
                return
                    "\(stateDirectory)/\(auditName) is missing; restore it from the backup that belongs to the database"
            }
            let master = credential ?? "\(stateDirectory)/\(masterName)"
            guard try KeyFile.read(master) != nil else {
                return "\(master) is missing; restore it from the backup that belongs to the database"
            }
            let keys = try Keyring(stateDirectory: stateDirectory, credential: credential)
            let keysAndPlans = KeysAndPlans(keys: keys, plans: PlanCatalogue())
            let path = "\(stateDirectory)/\(Database.fileName)"
            try SQLiteConnection(path: path, mode: .readOnly, extras: keysAndPlans).read { try keys.check(in: $0) }
            return nil
        } catch { return (error as? StorageError)?.message ?? "\(error)" }
    }
}
