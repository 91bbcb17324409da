/// What a transaction locks before it counts rows and then writes another one.
///
/// With SQLite, only one transaction writes at a time, so a count stays correct until the commit. An engine with
/// several writers must lock the row that the counted rows belong to (`SELECT … FOR UPDATE`); otherwise two
/// transactions could both find space for the last row. The rule is already enforced: a `COUNT` in a writing
/// transaction without a lock is refused.
package enum CountLock: Hashable, Sendable {
    /// The organisation's row: for its members, sessions, codes, seats, roles and audit numbers.
    case organisation(String)
    /// The account's row: for its tokens, its sessions in all organisations, and the organisations that it belongs to.
    case account(String)
    /// The server's own row: for its administrators.
    case appliance
}

extension Transaction {
    /// Records that this transaction counts rows that belong to this one, and then writes more. SQLite has one writer
    /// at a time, so nothing is locked in the database. An engine with several writers would lock the row here.
    package func lock(_ what: CountLock) { connection.locks.insert(what) }
}

extension TenantScope {
    /// ``Transaction/lock(_:)`` for the organisation's row.
    package func lock() { transaction.lock(.organisation(organisationId)) }
}
