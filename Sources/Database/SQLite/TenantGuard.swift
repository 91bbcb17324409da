import CSQLite

/// Refuses a statement on an organisation's table that was not run through ``TenantScope`` or ``CrossTenantScope``.
///
/// SQLite reports every table of a statement when it prepares it, so a refused statement never runs. Statements stay
/// prepared, so the check costs nothing afterwards. The WHERE clause is not checked: the author of a scoped query must
/// make sure that it constrains every table.
///
/// The check uses its own connection without foreign keys. With foreign keys, SQLite also reports the tables that refer
/// to the written one.
final class TenantGuard {
    /// The type through which a statement was run.
    enum Access: UInt8 { case plain, tenant, across }

    /// Every row of these belongs to exactly one organisation.
    private let tables: Set<String>
    private let handle: OpaquePointer
    /// The table that was refused last, for the error message.
    private var refused: String?

    /// - Parameter tables: those whose rows belong to organisations.
    /// - Throws: ``StorageError`` if the file cannot be opened.
    init(path: String, tables: Set<String>) throws {
        self.tables = tables
        var opened: OpaquePointer?
        let result = sqlite3_open_v2(path, &opened, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nil)
        guard result == SQLITE_OK, let opened else {
            sqlite3_close_v2(opened)
            throw StorageError(.unavailable, "cannot open \(path)", sqliteCode: result)
        }
        handle = opened
        sqlite3_busy_timeout(handle, SQLiteConnection.busyTimeoutMilliseconds)
        // This object owns the connection and outlives every call that SQLite makes to it.
        let own = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_set_authorizer(
            handle,
            { own, action, name, _, _, _ in
                guard let own, let name else { return SQLITE_OK }
                return Unmanaged<TenantGuard>.fromOpaque(own).takeUnretainedValue().decide(action, name)
            }, own)
    }

    deinit { sqlite3_close_v2(handle) }

    /// - Throws: ``StorageError`` that names the table.
    func check(_ sql: StaticString) throws {
        refused = nil
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        var prepared: OpaquePointer?
        let result = sqlite3_prepare_v2(handle, text, Int32(sql.utf8CodeUnitCount), &prepared, nil)
        sqlite3_finalize(prepared)
        if result & 0xFF == SQLITE_AUTH {
            throw StorageError(
                .failed,
                "\(refused ?? "a table") belongs to organisations; write this query with a TenantScope: \(sql)")
        }
        // A statement that could not be checked (busy, out of memory, no such table) must not run unchecked.
        guard result == SQLITE_OK else { throw SQLiteStatement.error(on: handle) }
    }

    private func decide(_ action: Int32, _ name: UnsafePointer<CChar>) -> Int32 {
        switch action {
        case SQLITE_READ, SQLITE_INSERT, SQLITE_UPDATE, SQLITE_DELETE: break
        default: return SQLITE_OK
        }
        let table = String(cString: name)
        guard tables.contains(table) else { return SQLITE_OK }
        refused = table
        return SQLITE_DENY
    }
}
