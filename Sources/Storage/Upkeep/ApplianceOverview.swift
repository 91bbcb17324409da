public import Database

/// The number of objects of each kind on a server.
public struct ApplianceOverview: Sendable, Equatable {
    public let people, organisations: Int

    /// - Throws: ``StorageError``.
    public init(in database: Transaction) throws {
        let found = try database.first(
            "SELECT (SELECT count(*) FROM users) AS people, (SELECT count(*) FROM organisations) AS organisations"
        ) { (try $0.integer("people"), try $0.integer("organisations")) }
        (people, organisations) = found ?? (0, 0)
    }
}
