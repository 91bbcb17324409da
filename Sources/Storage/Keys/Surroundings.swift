import Database

/// What rules inside a transaction need beside rows: the keys that are not in the database, and what the plans allow.
public final class Surroundings: Sendable {
    /// For files that are only looked at: backups, migrations.
    static let none = Surroundings(keys: nil, plans: PlanCatalogue())

    private let keys: Keyring?
    public let plans: PlanCatalogue

    init(keys: Keyring?, plans: PlanCatalogue) {
        self.keys = keys
        self.plans = plans
    }

    /// - Throws: ``StorageError`` on a connection that was opened without keys.
    func keyring() throws -> Keyring {
        guard let keys else { throw StorageError(.unavailable, "this connection has no keys") }
        return keys
    }
}
