/// An open transaction: what the body of ``Database/read(_:)`` or ``Database/write(essential:_:)`` reads and writes through. Valid only inside
/// that body.
///
/// SQLite is the only engine today; another one gets its own connection behind this type.
public struct Transaction {
    let connection: SQLiteConnection

    /// A value that the opener of the database gave, for rules that need more than rows.
    package var extras: any Sendable { connection.extras }

    /// Runs a statement on tables that belong to no organisation, and returns the number of rows it changed.
    /// - Throws: ``StorageError``; also when the statement touches an organisation's table: those need a ``TenantScope``.
    @discardableResult
    public func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try connection.run(sql, values, access: .plain, organisation: nil)
    }

    /// All rows of a query. The query itself must bound their number.
    /// - Throws: ``StorageError``, or what `decode` throws.
    public func rows<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> [T] {
        try connection.rows(sql, values, access: .plain, organisation: nil, decode: decode)
    }

    /// The first row of a query, or nil.
    /// - Throws: ``StorageError``, or what `decode` throws.
    public func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try connection.first(sql, values, access: .plain, organisation: nil, decode: decode)
    }

    /// Reads one row, to see that the file can be read.
    /// - Throws: ``StorageError``.
    public func check() throws {
        _ = try first("SELECT 1 AS found FROM sqlite_master LIMIT 1") { try $0.integer("found") }
    }
}
