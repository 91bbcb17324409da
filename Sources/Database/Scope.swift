/// Runs statements for one organisation, whose id is bound to `:organisation`. A statement that does not use it is refused when it is
/// prepared.
public struct TenantScope {
    public let organisationId: String
    public let transaction: Transaction

    /// Runs a statement and returns the number of rows it changed.
    /// - Throws: ``StorageError``.
    @discardableResult
    package func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try transaction.connection.run(sql, values, access: .tenant, organisation: organisationId)
    }

    /// All rows of a query. The query itself must bound their number.
    /// - Throws: ``StorageError``, or what `decode` throws.
    package func rows<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> [T] {
        try transaction.connection.rows(sql, values, access: .tenant, organisation: organisationId, decode: decode)
    }

    /// The first row of a query, or nil.
    /// - Throws: ``StorageError``, or what `decode` throws.
    package func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try transaction.connection.first(sql, values, access: .tenant, organisation: organisationId, decode: decode)
    }
}

/// Runs statements on the rows of all organisations, for the few callers that must, each with its reason.
package struct CrossTenantScope {
    /// Why a query cannot name an organisation. Adding one is a decision about the whole product's tenancy.
    package enum Reason {
        /// A code or an invitation is all that its bearer has: it leads to the organisation.
        case secretLeadsToTenant
        /// A limit per person counts in all of their organisations.
        case perPerson
        /// The relay speaks of rooms and peers that a tenant's query has admitted before.
        case relay
        /// What the server does by itself to every organisation alike: rooms after a start, metering, clearing away.
        case upkeep
        /// A name or a port is on this server once, whoever has it.
        case sharedNames
        /// What the server's administrators see of all organisations.
        case administration
    }

    package let transaction: Transaction

    @discardableResult
    package func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try transaction.connection.run(sql, values, access: .across, organisation: nil)
    }

    package func rows<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> [T] {
        try transaction.connection.rows(sql, values, access: .across, organisation: nil, decode: decode)
    }

    package func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try transaction.connection.first(sql, values, access: .across, organisation: nil, decode: decode)
    }
}

extension Transaction {
    /// This transaction for one organisation.
    public func tenant(_ organisationId: String) -> TenantScope {
        TenantScope(organisationId: organisationId, transaction: self)
    }

    /// This transaction for all organisations.
    package func across(_: CrossTenantScope.Reason) -> CrossTenantScope { CrossTenantScope(transaction: self) }
}
