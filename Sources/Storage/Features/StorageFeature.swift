import Database
import Model

/// What one feature adds to the database and its rules. ``all`` is the only list of features.
struct StorageFeature: Sendable {
    /// The feature's name, as listed in ARCHITECTURE.md.
    let name: String
    /// Every row of these tables belongs to exactly one organisation.
    var tenantTables: Set<String> = []
    /// Numbered across all features, in the order in which they were released.
    var migrations: [Migration] = []
    var permissions: [PermissionKey] = []
    var limits: [PlanLimit] = []
    /// Ends everything that an account has running, in any organisation, before its rows are deleted.
    var endAccount: @Sendable (_ userId: String, _ now: Timestamp, Transaction) throws -> Void = { _, _, _ in }
    /// Removes one batch of rows that only record past events. Each batch is a transaction: other writers wait for it.
    /// - Returns: the number of removed rows of the counted kinds. Called again until it is 0.
    var clearAway: @Sendable (RetentionCutoffs, Transaction) throws -> Int = { _, _ in 0 }
}

/// The age at which rows are removed.
struct RetentionCutoffs: Sendable {
    /// Removes rows that ended before this time. Nil keeps all history.
    let history: Timestamp?
    /// Removes one-time links and invitations that ended before this time.
    let links: Timestamp
    /// Removes names and ports that were released before this time.
    let names: Timestamp
}
