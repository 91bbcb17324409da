public import Database
public import Model

/// A message of an administrator about a problem, shown on the status page.
public struct Incident: Sendable, Equatable {
    /// The maximum number that is shown at once.
    private static let listLimit = 50
    /// The maximum length of the text, in bytes of UTF-8.
    public static let textLimit = 500

    public let id: String
    public let text: String
    public let startedAt: Timestamp
    public let resolvedAt: Timestamp?

    init(_ row: Row) throws {
        id = try row.text("id")
        text = try row.text("text")
        startedAt = try row.time("started_at")
        resolvedAt = try row.optionalTime("resolved_at")
    }

    /// - Throws: ``Refusal`` `.invalid`; ``StorageError``.
    public static func post(_ text: String, now: Timestamp, in database: Transaction) throws -> Incident {
        guard (1...textLimit).contains(text.utf8.count) else {
            throw Refusal(.invalid, "An incident's text must be 1 to \(textLimit) bytes long.")
        }
        try NameRule.check(text, "An incident's text", characters: 1...textLimit)
        let made = try database.first(
            "INSERT INTO incidents (id, text, started_at) VALUES (?, ?, ?) RETURNING *",
            Identifier.make(now: now), text, now, decode: Incident.init)
        guard let made else { throw StorageError(.failed, "the new incident was not returned") }
        return made
    }

    /// Ends an incident.
    /// - Parameter id: its id, or its last characters.
    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public static func resolve(id: String, now: Timestamp, in database: Transaction) throws -> Incident {
        let open = try list(includingResolved: false, in: database).filter { $0.id.hasSuffix(id) }
        guard open.count == 1, let found = open.first else {
            throw Refusal(
                .notFound, "No open incident, or more than one, ends in '\(id)'; 'postern incident list' shows them.")
        }
        try database.run("UPDATE incidents SET resolved_at = ? WHERE id = ?", now, found.id)
        return found
    }

    /// Newest first.
    public static func list(includingResolved: Bool, in database: Transaction) throws -> [Incident] {
        try database.rows(
            "SELECT * FROM incidents WHERE resolved_at IS NULL OR ? ORDER BY started_at DESC, id DESC LIMIT ?",
            includingResolved ? 1 : 0, listLimit, decode: Incident.init)
    }
}
