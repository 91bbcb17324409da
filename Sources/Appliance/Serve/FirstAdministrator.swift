import Database
import Identity
import Logging
import Model
import Operations
import Storage
import Web

/// The administrator that a script asks for with `POSTERN_ADMIN_PASSWORD_FILE`.
enum FirstAdministrator {
    /// Makes the account where nobody administers the server yet; afterwards the setting does nothing. Name and password keep the
    /// rules: ``Contradictions`` has looked.
    /// - Throws: `StorageError`.
    static func make(
        database: Database, hasher: PasswordHasher, _ configuration: Configuration, logger: Logger
    ) async throws {
        guard let password = configuration[Settings.adminPassword] else { return }
        let accounts = AccountAdministration(database: database, actor: .command)
        if try await accounts.hasAdministrator() { return }
        let name = configuration[Settings.adminName]
        let hash = try await hasher.hash(password)
        guard try await accounts.addFirstAdministrator(name: name, passwordHash: hash, detail: "admin-password") else {
            return
        }
        logger.notice("made the first administrator", metadata: ["user": "\(name)"])
    }
}
