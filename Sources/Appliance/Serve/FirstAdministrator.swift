import Database
import Identity
import Logging
import Model
import Operations
import Storage
import Web

/// The administrator that a script creates with `POSTERN_ADMIN_PASSWORD_FILE`.
enum FirstAdministrator {
    /// Creates the account if the server has no administrator yet. After that the setting has no effect.
    /// ``Contradictions`` has already checked the name and password.
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
        logger.notice("created the first administrator", metadata: ["user": "\(name)"])
    }
}
