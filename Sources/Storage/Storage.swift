public import Database
public import Telemetry

/// The appliance's database: one file in its state directory, with the keys and plans that its rules need.
extension Database {
    /// The file's name inside the state directory.
    public static let fileName = "postern.db"

    /// Every row of these belongs to exactly one organisation.
    static let tenantTables = StorageFeature.all.reduce(into: Set<String>()) { $0.formUnion($1.tenantTables) }

    /// Opens, and where necessary creates or migrates, the database in a state directory.
    /// - Parameters:
    ///   - reserveBytes: free disk space below which writes are refused, in bytes; 0 never refuses.
    ///   - masterKey: a file that systemd hands over; it wins over the one in the state directory.
    ///   - plans: what plans allow.
    /// - Throws: ``StorageError``; `.newer` when a newer version of Postern wrote the file; `.unavailable` when the keys do not belong
    ///   to it.
    public convenience init(
        stateDirectory: String, metrics: DatabaseMetrics = DatabaseMetrics(), reserveBytes: Int = 0,
        masterKey: String? = nil, plans: PlanCatalogue = PlanCatalogue()
    ) throws {
        try Keyring.refuseToBeginAnew(stateDirectory: stateDirectory)
        try self.init(
            directory: stateDirectory, name: Self.fileName, migrations: Migration.all, tenantTables: Self.tenantTables,
            metrics: metrics, reserveBytes: reserveBytes
        ) { path in
            // Behind the migrations: a start that ends in between leaves a database, and no keys without one.
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

    /// Makes a new master key and wraps all data keys with it; `note` runs in the same transaction.
    /// - Returns: how many data keys there are.
    /// - Throws: ``Refusal`` where the master key is a credential; ``StorageError``.
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
    /// Keys and plans, which rules inside a transaction need.
    public var keysAndPlans: KeysAndPlans { extras as? KeysAndPlans ?? .none }
}

extension StorageFeature {
    /// A new capability is one more name here.
    static let all: [StorageFeature] = [
        .sharing, .tunnels, .machines, .organisations, .plans, .audit, .accounts, .keys, .upkeep,
    ]
}

extension Migration {
    static let all = StorageFeature.all.flatMap(\.migrations).sorted { $0.number < $1.number }
}
