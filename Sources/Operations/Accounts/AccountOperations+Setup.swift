import Database
import Identity
import Model
public import Storage

/// The one-time link that makes the first administrator.
extension AccountOperations {
    /// - Throws: ``StorageError``.
    public func isSetupLinkGood(_ secret: String) async throws -> Bool {
        try await database.read { try SetupLink.isGood(secret, now: .now(), in: $0) }
    }

    /// Makes the first administrator.
    /// - Throws: ``Refusal`` `.setUp` when the link is used or too old, or names the rule that name or password breaks; ``StorageError``.
    public func setUp(secret: String, username: String, password: String) async throws -> (User, APIToken) {
        // Before the hash, which costs more than a look.
        guard try await isSetupLinkGood(secret) else { throw Refusal(.setUp, "This link does not work any more.") }
        let name = try AccountRules.username(username)
        let hash = try await hasher.hash(try AccountRules.password(password))
        return try await database.write {
            try SetupLink.use(secret, username: name, passwordHash: hash, now: .now(), in: $0)
        }
    }
}
