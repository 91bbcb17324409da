import Database
import Model

/// What one capability adds to the database and to the rules over it. ``all`` is the only list of them.
struct StorageFeature: Sendable {
    /// The capability's word, as ARCHITECTURE.md lists it.
    let name: String
    /// Every row of these belongs to exactly one organisation.
    var tenantTables: Set<String> = []
    /// Numbered over all features, in the order in which they shipped.
    var migrations: [Migration] = []
    var permissions: [PermissionKey] = []
    var limits: [PlanLimit] = []
    /// Ends what an account has running, anywhere, before its rows go.
    var endAccount: @Sendable (_ userId: String, _ now: Timestamp, Transaction) throws -> Void = { _, _, _ in }
    /// Removes one batch of rows that are kept only because something happened. A batch is a transaction: other writers wait for it.
    /// - Returns: how many rows that are counted were removed; called again until it is 0.
    var clearAway: @Sendable (RetentionCutoffs, Transaction) throws -> Int = { _, _ in 0 }
}

/// What is old enough to be removed.
struct RetentionCutoffs: Sendable {
    /// What ended before this; nil keeps all history.
    let history: Timestamp?
    /// One-time links and invitations that ended before this.
    let links: Timestamp
    /// Names and ports that were released before this.
    let names: Timestamp
}
