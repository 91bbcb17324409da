import Database
import Identity
import Model
public import Storage

/// The one-time link that creates the first administrator.
extension AccountOperations {
    /// - Throws: ``StorageError``.
    public func isSetupLinkGood(_ secret: String) async throws -> Bool {
        try await database.read { try SetupLink.isGood(secret, now: .now(), in: $0) }
    }

    /// Creates the first administrator.
    /// - Throws: ``Refusal`` `.setUp` if the link is used or too old, or with the rule that the name or password
    ///   violates; ``StorageError``.
    public func setUp(secret: String, username: String, password: String) async throws -> (User, APIToken) {
        // Checked before the hash, which costs more than a lookup.
        guard try await isSetupLinkGood(secret) else { throw Refusal(.setUp, "This link is no longer valid.") }
        let name = try AccountRules.username(username)
        let hash = try await hasher.hash(try AccountRules.password(password))
        return try await database.write {
            try SetupLink.use(secret, username: name, passwordHash: hash, now: .now(), in: $0)
        }
    }
}
