/// What a transaction locks before it counts rows and then writes one more.
///
/// With SQLite one transaction writes at a time, so that a count stays right until the commit. An engine with several writers must lock
/// the row that the counted rows belong to (`SELECT … FOR UPDATE`), or two transactions both find room for the last one. The rule is kept
/// here already: a `COUNT` in a writing transaction that has locked nothing is refused.
package enum CountLock: Hashable, Sendable {
    /// The organisation's row: its members, sessions, codes, seats, roles, audit numbers.
    case organisation(String)
    /// The account's row: its tokens, its sessions in all organisations, the organisations it is in.
    case account(String)
    /// The server's own: its administrators.
    case appliance
}

extension Transaction {
    /// Notes that this transaction counts rows below this one and then writes more. SQLite has one writer at a time, so nothing is locked in
    /// the database; an engine with several writers locks the row here.
    package func lock(_ what: CountLock) { connection.locks.insert(what) }
}

extension TenantScope {
    /// ``Transaction/lock(_:)`` for the organisation's row.
    package func lock() { transaction.lock(.organisation(organisationId)) }
}
