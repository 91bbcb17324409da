import CSQLite
public import Model

/// The current row of a statement. It is valid only inside the `decode` closure that gets it.
public struct Row {
    private let statement: SQLiteStatement

    init(_ statement: SQLiteStatement) { self.statement = statement }

    /// - Throws: ``StorageError`` if the column is missing, null or of another type.
    public func text(_ column: String) throws -> String {
        guard let value = try optionalText(column) else { throw unexpected(column, "null") }
        return value
    }

    public func optionalText(_ column: String) throws -> String? {
        guard let index = try index(column, is: SQLITE_TEXT) else { return nil }
        let count = Int(sqlite3_column_bytes(statement.pointer, index))
        guard let start = sqlite3_column_text(statement.pointer, index) else { return "" }
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    public func integer(_ column: String) throws -> Int {
        guard let value = try optionalInteger(column) else { throw unexpected(column, "null") }
        return value
    }

    public func optionalInteger(_ column: String) throws -> Int? {
        try index(column, is: SQLITE_INTEGER).map { Int(sqlite3_column_int64(statement.pointer, $0)) }
    }

    public func blob(_ column: String) throws -> [UInt8] {
        guard let value = try optionalBlob(column) else { throw unexpected(column, "null") }
        return value
    }

    public func optionalBlob(_ column: String) throws -> [UInt8]? {
        guard let index = try index(column, is: SQLITE_BLOB) else { return nil }
        let count = Int(sqlite3_column_bytes(statement.pointer, index))
        guard count > 0, let bytes = sqlite3_column_blob(statement.pointer, index) else { return [] }
        return Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }

    public func time(_ column: String) throws -> Timestamp {
        Timestamp(milliseconds: Int64(try integer(column)))
    }

    public func optionalTime(_ column: String) throws -> Timestamp? {
        try optionalInteger(column).map { Timestamp(milliseconds: Int64($0)) }
    }

    public func flag(_ column: String) throws -> Bool { try integer(column) != 0 }

    /// A column that contains a raw value of an enumeration.
    public func word<Word: RawRepresentable<String>>(_ column: String, as type: Word.Type = Word.self) throws -> Word {
        let raw = try text(column)
        guard let word = Word(rawValue: raw) else { throw unexpected(column, "the unknown word \(raw)") }
        return word
    }

    /// Nil if the column is null.
    private func index(_ column: String, is type: Int32) throws -> Int32? {
        guard let index = statement.columns[column] else { throw unexpected(column, "missing") }
        let found = sqlite3_column_type(statement.pointer, index)
        if found == SQLITE_NULL { return nil }
        guard found == type else { throw unexpected(column, "of another type") }
        return index
    }

    private func unexpected(_ column: String, _ what: String) -> StorageError {
        StorageError(.failed, "column \(column) is \(what)")
    }
}
