/// Runs statements for one organisation, whose id is bound to `:organisation`. A statement that does not use this
/// parameter is refused when it is prepared.
public struct TenantScope {
    public let organisationId: String
    public let transaction: Transaction

    /// Runs a statement and returns the number of rows it changed.
    /// - Throws: ``StorageError``.
    @discardableResult
    package func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try transaction.connection.run(sql, values, access: .tenant, organisation: organisationId)
    }

    /// Returns all rows of a query. The query itself must limit their number.
    /// - Throws: ``StorageError``, or what `decode` throws.
    package func rows<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> [T] {
        try transaction.connection.rows(sql, values, access: .tenant, organisation: organisationId, decode: decode)
    }

    /// Returns the first row of a query, or nil.
    /// - Throws: ``StorageError``, or what `decode` throws.
    package func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try transaction.connection.first(sql, values, access: .tenant, organisation: organisationId, decode: decode)
    }
}

/// Runs statements on the rows of all organisations. Only a few callers need this, each for a named reason.
package struct CrossTenantScope {
    /// Why a query cannot name an organisation. Adding a case is a decision about the tenancy of the whole product.
    package enum Reason {
        /// The caller has only a code or an invitation, which determines the organisation.
        case secretLeadsToTenant
        /// A limit per person counts in all of their organisations.
        case perPerson
        /// The relay speaks of rooms and peers that a tenant's query has admitted before.
        case relay
        /// The server's own work for every organisation: rooms after a start, metering, cleanup.
        case upkeep
        /// A name or a port is unique on this server, across organisations.
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
