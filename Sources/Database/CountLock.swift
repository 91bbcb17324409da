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
    /// Locks a row until the transaction ends.
    package func lock(_ what: CountLock) { locks.insert(what) }
}

extension TenantScope {
    /// Locks the organisation's row until the transaction ends.
    package func lock() { connection.lock(.organisation(organisationId)) }
}
