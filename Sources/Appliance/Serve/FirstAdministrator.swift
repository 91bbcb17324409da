import Database
import Identity
import Logging
import Model
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
        guard let password = configuration.text("admin-password") else { return }
        if try await database.read({ try User.hasAdministrator(in: $0) }) { return }
        let name = configuration.text("admin-name") ?? "admin"
        let hash = try await hasher.hash(password)
        try await database.write { connection in
            let now = Timestamp.now()
            let user = try User.create(username: name, plan: .admin, isAdmin: true, now: now, in: connection)
            try Password.rehash(hash, userId: user.id, now: now, in: connection)
            try Audit.recordCommand(.registered, target: name, detail: "admin-password", in: connection)
        }
        logger.notice("made the first administrator", metadata: ["user": "\(name)"])
    }
}
