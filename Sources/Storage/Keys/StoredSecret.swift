public import Database
public import Model

/// A secret of the owner's configuration that is stored sealed in the database instead of in a file.
public enum StoredSecret {
    private static func place(_ name: String) -> Vault.Place {
        Vault.Place(table: "secrets", row: name, column: "sealed")
    }

    public static func set(_ name: String, to secret: String, now: Timestamp, in database: Transaction) throws {
        let sealed = try Vault.seal(Array(secret.utf8), at: place(name), in: database.tenant(Vault.appliance))
        try database.run(
            """
            INSERT INTO secrets (name, sealed, changed_at) VALUES (?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at
            """, name, sealed, now)
    }

    /// - Returns: whether there was one.
    public static func remove(_ name: String, in database: Transaction) throws -> Bool {
        try database.run("DELETE FROM secrets WHERE name = ?", name) > 0
    }

    /// All secrets, decrypted, by name.
    public static func all(in database: Transaction) throws -> [String: String] {
        let stored = try database.rows("SELECT name, sealed FROM secrets LIMIT 100") {
            (try $0.text("name"), try $0.blob("sealed"))
        }
        var found: [String: String] = [:]
        for (name, sealed) in stored {
            let plain = try Vault.open(sealed, at: place(name), in: database.tenant(Vault.appliance))
            found[name] = String(decoding: plain, as: UTF8.self)
        }
        return found
    }

    /// Only the names. Reads the database without creating or migrating anything. Empty if there is no database, or if
    /// it is older than sealed secrets.
    public static func names(stateDirectory: String) -> Set<String> {
        let path = "\(stateDirectory)/\(Database.fileName)"
        let stored = try? SQLiteConnection(path: path, mode: .readOnly).read { try list(in: $0) }
        return Set((stored ?? []).map(\.name))
    }

    /// The names and the time of each change, without the secrets.
    public static func list(in database: Transaction) throws -> [(name: String, changedAt: Timestamp)] {
        try database.rows("SELECT name, changed_at FROM secrets ORDER BY name LIMIT 100") {
            (try $0.text("name"), try $0.time("changed_at"))
        }
    }
}
