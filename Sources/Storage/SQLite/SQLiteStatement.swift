import CSQLite

/// A prepared statement and the names of its columns.
final class SQLiteStatement {
    let pointer: OpaquePointer
    private let connection: OpaquePointer
    private(set) lazy var columns: [String: Int32] = columnIndexes()

    init(_ sql: StaticString, on connection: OpaquePointer) throws {
        var prepared: OpaquePointer?
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        let result = sqlite3_prepare_v3(
            connection, text, Int32(sql.utf8CodeUnitCount), UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard result == SQLITE_OK, let prepared else { throw Self.error(on: connection) }
        self.pointer = prepared
        self.connection = connection
    }

    func finalize() { sqlite3_finalize(pointer) }

    func bind(_ values: [any DatabaseBindable]) throws {
        // SQLite copies what it is given: the Swift value need not outlive the call.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        for (offset, value) in values.enumerated() {
            let index = Int32(offset + 1)
            let result =
                switch value.databaseValue {
                case .null: sqlite3_bind_null(pointer, index)
                case .integer(let number): sqlite3_bind_int64(pointer, index, number)
                case .text(let text): sqlite3_bind_text(pointer, index, text, Int32(text.utf8.count), transient)
                case .blob(let bytes): sqlite3_bind_blob(pointer, index, bytes, Int32(bytes.count), transient)
                }
            guard result == SQLITE_OK else { throw Self.error(on: connection) }
        }
    }

    /// True when there is a row.
    func step() throws -> Bool {
        switch sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default: throw Self.error(on: connection)
        }
    }

    func reset() {
        sqlite3_reset(pointer)
        sqlite3_clear_bindings(pointer)
    }

    private func columnIndexes() -> [String: Int32] {
        var found: [String: Int32] = [:]
        for index in 0..<sqlite3_column_count(pointer) {
            if let name = sqlite3_column_name(pointer, index) { found[String(cString: name)] = index }
        }
        return found
    }

    static func error(on connection: OpaquePointer) -> StorageError {
        let code = sqlite3_extended_errcode(connection)
        let reason = String(cString: sqlite3_errmsg(connection))
        switch code & 0xFF {
        case SQLITE_BUSY, SQLITE_LOCKED:
            return StorageError(.busy, "another process holds the database (\(reason)); try again", sqliteCode: code)
        case SQLITE_FULL:
            return StorageError(
                .full, "the disk that holds the state directory is full; free space on it", sqliteCode: code)
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            return StorageError(.corrupt, "the database is damaged (\(reason)); restore a backup", sqliteCode: code)
        default:
            return StorageError(.failed, reason, sqliteCode: code)
        }
    }
}
