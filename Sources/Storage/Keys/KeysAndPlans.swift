import Database

/// The keys outside of the database and the limits of plans, for rules inside a transaction.
public final class KeysAndPlans: Sendable {
    /// For files that are only read: backups, migrations.
    static let none = KeysAndPlans(keys: nil, plans: PlanCatalogue())

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
