import Database
import Glibc

/// Whether keys and database belong together. A wrong key that is found later makes every sign-in fail, or every audit log look forged.
extension Keyring {
    /// Heads and data keys that are looked at: one is enough to tell a key from another; several tell a key from one changed row.
    private static let samples = 20

    /// An empty or missing database beside the keys of one is an accident, and not a new server: its owner would be asked to set it up
    /// again, and its scheduled backups would push the good ones out.
    /// - Throws: ``StorageError``.
    static func refuseToBeginAnew(stateDirectory: String) throws {
        let database = "\(stateDirectory)/\(Database.fileName)"
        var found = stat()
        if stat(database, &found) == 0, found.st_size > 0 { return }
        let keys = [masterName, auditName].filter { access("\(stateDirectory)/\($0)", F_OK) == 0 }
        guard !keys.isEmpty else { return }
        throw StorageError(
            .unavailable,
            "\(database) is empty or missing, and \(keys.joined(separator: " and ")) of a server are beside it; restore a "
                + "backup with 'postern restore', or move the keys away to begin with a new server")
    }

    /// A key that is missing beside a database that was used with one is lost: a new one in its place would only hide that.
    /// - Parameter credential: a file that systemd hands over in place of the master key.
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

    /// What is wrong with the keys of a state directory, for `postern doctor`. Makes nothing.
    /// - Parameter credential: a file that systemd hands over.
    /// - Returns: a sentence, or nil when they belong to the database.
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
