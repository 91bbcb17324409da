public import Database
public import Telemetry

/// The appliance's database: one file in its state directory, with the keys and plans that its rules need.
extension Database {
    /// The file's name inside the state directory.
    public static let fileName = "postern.db"

    /// Every row of these tables belongs to exactly one organisation.
    static let tenantTables = StorageFeature.all.reduce(into: Set<String>()) { $0.formUnion($1.tenantTables) }

    /// Opens the database in a state directory. Creates or migrates it if necessary.
    /// - Parameters:
    ///   - reserveBytes: free disk space below which writes are refused, in bytes; 0 never refuses.
    ///   - masterKey: a file from systemd. It has priority over the one in the state directory.
    ///   - plans: the limits of the plans.
    /// - Throws: ``StorageError``; `.newer` if a newer version of Postern wrote the file; `.unavailable` if the keys do not belong to it.
    public convenience init(
        stateDirectory: String, metrics: DatabaseMetrics = DatabaseMetrics(), reserveBytes: Int = 0,
        masterKey: String? = nil, plans: PlanCatalogue = PlanCatalogue()
    ) throws {
        try Keyring.refuseToBeginAnew(stateDirectory: stateDirectory)
        try self.init(
            directory: stateDirectory, name: Self.fileName, migrations: Migration.all, tenantTables: Self.tenantTables,
            metrics: metrics, reserveBytes: reserveBytes
        ) { path in
            // After the migrations: if a start is interrupted here, it leaves a database without keys, but never keys without a database.
            try SQLiteConnection(path: path, mode: .readOnly).read {
                try Keyring.refuseToReplace(stateDirectory: stateDirectory, credential: masterKey, usedBy: $0)
            }
            let keys = try Keyring(stateDirectory: stateDirectory, credential: masterKey)
            let keysAndPlans = KeysAndPlans(keys: keys, plans: plans)
            try SQLiteConnection(path: path, mode: .readOnly, extras: keysAndPlans).read { try keys.check(in: $0) }
            return keysAndPlans
        }
    }

    /// Keys and plans that rules inside transactions use.
    public var keysAndPlans: KeysAndPlans { extras as? KeysAndPlans ?? .none }

    /// Creates a new master key and wraps all data keys with it. `note` runs in the same transaction.
    /// - Returns: the number of data keys.
    /// - Throws: ``Refusal`` if the master key is a credential; ``StorageError``.
    public func rotateMasterKey(
        note: @escaping @Sendable (Transaction, Int) throws -> Void
    ) async throws -> Int {
        try await keysAndPlans.keyring().rotate {
            try await write { connection in
                let count = try SigningKey.rewrapAll(in: connection)
                try note(connection, count)
                return count
            }
        }
    }
}

extension Transaction {
    /// Keys and plans, for rules inside a transaction.
    public var keysAndPlans: KeysAndPlans { extras as? KeysAndPlans ?? .none }
}

extension StorageFeature {
    /// Add each new feature here.
    static let all: [StorageFeature] = [
        .sharing, .tunnels, .machines, .domains, .access, .singleSignOn, .organisations, .plans, .audit, .accounts,
        .keys, .upkeep,
    ]
}

extension Migration {
    static let all = StorageFeature.all.flatMap(\.migrations).sorted { $0.number < $1.number }
}
