public import Database
public import Model

/// The owner's texts on the public pages.
public enum OwnerText: String, Sendable, CaseIterable {
    /// The page "About this server".
    case about

    /// The maximum length of a text, in Unicode scalars: several screens. A form of 64 KiB holds this many emoji, at 12 bytes each.
    public static let greatest = 5_000

    /// - Throws: ``StorageError``.
    public func read(in database: Transaction) throws -> String? {
        try database.first("SELECT value FROM owner_texts WHERE name = ?", rawValue) { try $0.text("value") }
    }

    /// - Parameter text: empty removes it.
    /// - Throws: ``Refusal`` `.invalid`; ``StorageError``.
    public func set(_ text: String, now: Timestamp, in database: Transaction) throws {
        guard text.unicodeScalars.count <= Self.greatest else {
            throw Refusal(.invalid, "\(rawValue): use at most \(Self.greatest) characters.")
        }
        if text.isEmpty {
            try database.run("DELETE FROM owner_texts WHERE name = ?", rawValue)
        } else {
            try database.run(
                """
                INSERT INTO owner_texts (name, value, changed_at) VALUES (?, ?, ?)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at
                """, rawValue, text, now)
        }
    }
}

extension StorageFeature {
    static let upkeep = StorageFeature(name: "upkeep", migrations: [.ownerTexts])
}

extension Migration {
    static let ownerTexts = Migration(
        number: 11,
        script: """
            CREATE TABLE owner_texts (
                name TEXT PRIMARY KEY NOT NULL,
                value TEXT NOT NULL,
                changed_at INTEGER NOT NULL
            ) STRICT;
            """)
}

extension AuditAction {
    public static let ownerTextSet = AuditAction("owner_text.set")
}
