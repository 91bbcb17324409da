/// An open transaction, which the body of ``Database/read(_:)`` or ``Database/write(essential:_:)`` uses to read and
/// write. It is valid only inside that body.
///
/// SQLite is the only engine today. Another engine would have its own connection behind this type.
public struct Transaction {
    let connection: SQLiteConnection

    /// The values that were passed when the database was opened, for rules that need more than rows.
    package var extras: any Sendable { connection.extras }

    /// Runs a statement on tables that belong to no organisation, and returns the number of rows it changed.
    /// - Throws: ``StorageError``; also if the statement uses an organisation's table, which needs a ``TenantScope``.
    @discardableResult
    public func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try connection.run(sql, values, access: .plain, organisation: nil)
    }

    /// Returns all rows of a query. The query itself must limit their number.
    /// - Throws: ``StorageError``, or what `decode` throws.
    public func rows<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> [T] {
        try connection.rows(sql, values, access: .plain, organisation: nil, decode: decode)
    }

    /// Returns the first row of a query, or nil.
    /// - Throws: ``StorageError``, or what `decode` throws.
    public func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try connection.first(sql, values, access: .plain, organisation: nil, decode: decode)
    }

    /// Reads one row, to check that the file is readable.
    /// - Throws: ``StorageError``.
    public func check() throws {
        _ = try first("SELECT 1 AS found FROM sqlite_master LIMIT 1") { try $0.integer("found") }
    }
}
