import CSQLite

/// One SQLite connection with its prepared statements. It is used only on the thread that opened it (not `Sendable`).
///
/// SQL is a `StaticString`: a query is part of the source code and cannot be built from input. Each statement is
/// prepared once and kept for the life of the connection.
package final class SQLiteConnection {
    /// How long a statement waits for another process (`postern user add` beside `postern serve`), in milliseconds. The
    /// longest lock is one group commit. 5 s is much longer than that and shorter than a person's patience.
    static let busyTimeoutMilliseconds: Int32 = 5000
    /// The write-ahead log is truncated to this size after a checkpoint, so that one burst does not use disk space
    /// permanently. In bytes.
    private static let journalSizeLimit: StaticString = "PRAGMA journal_size_limit = 67108864"

    package enum Mode { case readWrite, readOnly }

    private let handle: OpaquePointer
    private struct StatementKey: Hashable {
        /// The address of a `StaticString` identifies it.
        let text: UInt
        let access: TenantGuard.Access
    }

    private var statements: [StatementKey: SQLiteStatement] = [:]
    private let mode: Mode
    /// The locks of the open transaction; cleared when the next one starts.
    var locks: Set<CountLock> = []
    /// Nil if only the file itself is accessed.
    private var tenantGuard: TenantGuard?
    /// The values that were passed when the database was opened, for rules that need more than rows.
    let extras: any Sendable

    /// - Parameters:
    ///   - tenantTables: tables that belong to organisations; nil if only the file itself is accessed.
    ///   - extras: values other than rows that rules inside a transaction need.
    /// - Throws: ``StorageError`` if the file cannot be opened or is not a database.
    package init(
        path: String, mode: Mode, tenantTables: Set<String>? = nil, extras: any Sendable = ()
    ) throws {
        self.extras = extras
        self.mode = mode
        var opened: OpaquePointer?
        let access = mode == .readWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
        // NOMUTEX: each thread has its own connection, so SQLite need not lock.
        let result = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
        guard result == SQLITE_OK, let opened else {
            let reason = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(opened)
            throw StorageError(.unavailable, "cannot open \(path): \(reason)", sqliteCode: result)
        }
        handle = opened
        // Set first, so that even the pragmas below wait instead of failing.
        sqlite3_busy_timeout(handle, Self.busyTimeoutMilliseconds)
        if mode == .readWrite {
            try run("PRAGMA journal_mode = WAL")
            // FULL: a commit is on disk before any caller gets its answer.
            try run("PRAGMA synchronous = FULL")
            try run(Self.journalSizeLimit)
        }
        try run("PRAGMA foreign_keys = ON")
        try run("PRAGMA trusted_schema = OFF")
        if let tenantTables { tenantGuard = try TenantGuard(path: path, tables: tenantTables) }
    }

    deinit {
        statements.values.forEach { $0.finalize() }
        sqlite3_close_v2(handle)
    }

    /// Runs one statement outside a scope: transaction control, pragmas, and statements about the file itself.
    /// - Returns: the number of rows it changed.
    /// - Throws: ``StorageError``.
    @discardableResult
    package func run(_ sql: StaticString, _ values: (any DatabaseBindable)...) throws -> Int {
        try run(sql, values, access: .plain, organisation: nil)
    }

    /// The first row of a query outside a scope, or nil.
    /// - Throws: ``StorageError``, or what `decode` throws.
    package func first<T>(
        _ sql: StaticString, _ values: (any DatabaseBindable)..., decode: (Row) throws -> T
    ) throws -> T? {
        try first(sql, values, access: .plain, organisation: nil, decode: decode)
    }

    func run(
        _ sql: StaticString, _ values: [any DatabaseBindable], access: TenantGuard.Access, organisation: String?
    ) throws -> Int {
        let statement = try prepared(sql, access)
        defer { statement.reset() }
        try statement.bind(values, organisation: organisation)
        while try statement.step() {}
        return Int(sqlite3_changes64(handle))
    }

    func rows<T>(
        _ sql: StaticString, _ values: [any DatabaseBindable], access: TenantGuard.Access, organisation: String?,
        decode: (Row) throws -> T
    ) throws -> [T] {
        let statement = try prepared(sql, access)
        defer { statement.reset() }
        try statement.bind(values, organisation: organisation)
        var found: [T] = []
        while try statement.step() { found.append(try decode(Row(statement))) }
        return found
    }

    func first<T>(
        _ sql: StaticString, _ values: [any DatabaseBindable], access: TenantGuard.Access, organisation: String?,
        decode: (Row) throws -> T
    ) throws -> T? {
        let statement = try prepared(sql, access)
        defer { statement.reset() }
        try statement.bind(values, organisation: organisation)
        return try statement.step() ? try decode(Row(statement)) : nil
    }

    /// Runs statements without parameters, separated by semicolons; for migrations.
    package func script(_ sql: StaticString) throws {
        let result = sqlite3_exec(
            handle, UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self), nil, nil, nil)
        guard result == SQLITE_OK else { throw SQLiteStatement.error(on: handle) }
    }

    /// Sets `user_version`, SQLite's field for an application's schema version. PRAGMA takes no bound parameter, so the integer is
    /// interpolated.
    func setVersion(_ number: Int) throws {
        guard sqlite3_exec(handle, "PRAGMA user_version = \(number)", nil, nil, nil) == SQLITE_OK else {
            throw SQLiteStatement.error(on: handle)
        }
    }

    private func prepared(_ sql: StaticString, _ access: TenantGuard.Access) throws -> SQLiteStatement {
        // The key contains the access: a statement that is allowed in a scope is not allowed outside of it.
        let key = StatementKey(text: UInt(bitPattern: sql.utf8Start), access: access)
        if let known = statements[key] {
            try requireLockForCount(known, sql)
            return known
        }
        if access == .plain { try tenantGuard?.check(sql) }
        let statement = try SQLiteStatement(sql, on: handle)
        guard access != .tenant || statement.organisationIndex != nil else {
            statement.finalize()
            throw StorageError(.failed, "a query of a TenantScope does not name :organisation: \(sql)")
        }
        statements[key] = statement
        try requireLockForCount(statement, sql)
        return statement
    }

    /// - Throws: ``StorageError`` if a writing transaction counts rows without a lock.
    private func requireLockForCount(_ statement: SQLiteStatement, _ sql: StaticString) throws {
        guard statement.counts, mode == .readWrite, tenantGuard != nil, locks.isEmpty else { return }
        throw StorageError(.failed, "a transaction counts without a lock: \(sql)")
    }
}

extension SQLiteConnection {
    /// Runs a body whose reads all see one snapshot. Only for a connection that is not in a transaction.
    /// - Throws: what `body` throws, or ``StorageError``.
    package func read<Success>(_ body: (Transaction) throws -> Success) throws -> Success {
        // DEFERRED: the snapshot is taken by the first read.
        try run("BEGIN DEFERRED")
        // Nothing was written, so the result of ending the transaction does not matter.
        defer { _ = try? run("ROLLBACK") }
        return try body(Transaction(connection: self))
    }
}
