import CSQLite

/// A prepared statement and the names of its columns.
final class SQLiteStatement {
    let pointer: OpaquePointer
    private let connection: OpaquePointer
    /// Whether the statement counts rows (``CountLock``).
    let counts: Bool
    private(set) lazy var columns: [String: Int32] = columnIndexes()

    init(_ sql: StaticString, on connection: OpaquePointer) throws {
        var prepared: OpaquePointer?
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        let result = sqlite3_prepare_v3(
            connection, text, Int32(sql.utf8CodeUnitCount), UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard result == SQLITE_OK, let prepared else { throw Self.error(on: connection) }
        self.pointer = prepared
        self.connection = connection
        counts = String(
            decoding: UnsafeBufferPointer(start: sql.utf8Start, count: sql.utf8CodeUnitCount), as: UTF8.self
        )
        .contains("COUNT(")
    }

    func finalize() { sqlite3_finalize(pointer) }

    /// The index of `:organisation` among the parameters; nil if it is not used.
    private(set) lazy var organisationIndex: Int32? = {
        let index = sqlite3_bind_parameter_index(pointer, ":organisation")
        return index > 0 ? index : nil
    }()

    /// Binds the `?` parameters in their order, and separately `:organisation`, which SQLite counts among them.
    func bind(_ values: [any DatabaseBindable], organisation: String?) throws {
        let apart = organisation == nil ? nil : organisationIndex
        if let apart, let organisation { try bind(.text(organisation), at: apart) }
        var index: Int32 = 0
        for value in values {
            index += 1
            if index == apart { index += 1 }
            try bind(value.databaseValue, at: index)
        }
    }

    private func bind(_ value: DatabaseValue, at index: Int32) throws {
        // SQLite copies the value, so the Swift value need not outlive the call.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let result =
            switch value {
            case .null: sqlite3_bind_null(pointer, index)
            case .integer(let number): sqlite3_bind_int64(pointer, index, number)
            case .text(let text): sqlite3_bind_text(pointer, index, text, Int32(text.utf8.count), transient)
            // A null pointer would bind NULL, so empty bytes need a separate call.
            case .blob(let bytes) where bytes.isEmpty: sqlite3_bind_zeroblob(pointer, index, 0)
            case .blob(let bytes): sqlite3_bind_blob(pointer, index, bytes, Int32(bytes.count), transient)
            }
        guard result == SQLITE_OK else { throw Self.error(on: connection) }
    }

    /// Returns true if there is a row.
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
            return StorageError(.busy, "another process is using the database (\(reason)); try again", sqliteCode: code)
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
