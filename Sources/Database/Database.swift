import Glibc
public import Telemetry

/// The appliance's database: one file, one writing thread, a few reading threads.
///
/// `write` returns after the change is on disk. `read` sees everything that was confirmed before it started.
public final class Database: Sendable {
    /// The number of threads that run reads in parallel: enough for two cores. Each needs one connection (about 100
    /// KiB).
    private static let readerCount = 2
    /// Reads that may wait before callers are told to try again.
    private static let readQueueCapacity = 8192
    private typealias ReadJob = @Sendable (SQLiteConnection?, StorageError?) -> Void

    /// Values other than rows that rules inside transactions need.
    package let extras: any Sendable
    private let path: String
    private let writer: DatabaseWriter
    private let reads: BlockingQueue<ReadJob>
    private let readers: [WorkerThread]

    /// Opens a database file, and creates or migrates it if necessary.
    /// - Parameters:
    ///   - directory: created if it is missing, accessible only to its owner.
    ///   - name: the name of the file in the directory.
    ///   - migrations: the migrations, in order.
    ///   - tenantTables: tables whose rows belong to organisations.
    ///   - reserveBytes: free disk space below which writes are refused, in bytes; 0 never refuses.
    ///   - extras: values other than rows that rules inside transactions need; called after the migrations.
    /// - Throws: ``StorageError``; `.newer` if a newer version of Postern wrote the file; what `extras` throws.
    package init(
        directory: String, name: String, migrations: [Migration], tenantTables: Set<String>,
        metrics: DatabaseMetrics = DatabaseMetrics(), reserveBytes: Int = 0,
        extras makeExtras: (_ path: String) throws -> any Sendable
    ) throws {
        let path = "\(directory)/\(name)"
        self.path = path
        try Self.makePrivate(directory, file: path)
        try Migrator(path: path, migrations: migrations).run()
        let extras = try makeExtras(path)
        self.extras = extras
        let opening = Opening(path: path, tenantTables: tenantTables, extras: extras)
        writer = try DatabaseWriter(
            opening, metrics: metrics, reserve: DiskReserve(directory: directory, bytes: reserveBytes))
        let reads = BlockingQueue<ReadJob>(capacity: Self.readQueueCapacity)
        self.reads = reads
        readers = try (0..<Self.readerCount).map { _ in
            try WorkerThread(name: "db-reader") { Self.readLoop(opening, reads) }
        }
    }

    /// The parameters with which each thread opens its connection.
    struct Opening: Sendable {
        let path: String
        let tenantTables: Set<String>
        let extras: any Sendable

        func connect(_ mode: SQLiteConnection.Mode) throws -> SQLiteConnection {
            try SQLiteConnection(path: path, mode: mode, tenantTables: tenantTables, extras: extras)
        }
    }

    /// Runs a transaction on the writing thread and returns once it is durable. A body that throws leaves no change.
    /// - Parameter essential: whether the transaction may use the reserved disk space. For changes that end or free
    ///   something, and for those that a start needs.
    /// - Throws: what `body` throws, or ``StorageError``.
    public func write<Success: Sendable>(
        essential: Bool = false, _ body: @escaping @Sendable (Transaction) throws -> Success
    ) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            let job = DatabaseWriter.Job(
                isEssential: essential,
                run: { connection in
                    let outcome = Result { try body(connection) }
                    let keep = if case .success = outcome { true } else { false }
                    return (keep, { failure in continuation.resume(with: failure.map { .failure($0) } ?? outcome) })
                },
                refuse: { cause in
                    continuation.resume(throwing: cause ?? StorageError(.unavailable, "the database is closed"))
                })
            if !writer.submit(job) { continuation.resume(throwing: Self.overloaded) }
        }
    }

    /// Runs queries on a reading thread. All of them see one snapshot of the database, without concurrent writes.
    /// - Throws: what `body` throws, or ``StorageError``.
    public func read<Success: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws -> Success
    ) async throws -> Success {
        try await withCheckedThrowingContinuation { continuation in
            let accepted = reads.push { connection, failure in
                guard let connection else {
                    continuation.resume(throwing: failure ?? StorageError(.unavailable, "the database is closed"))
                    return
                }
                continuation.resume(with: Result { try connection.read(body) })
            }
            if !accepted { continuation.resume(throwing: Self.overloaded) }
        }
    }

    /// Size of the write-ahead log, in bytes.
    public var walBytes: Int {
        var found = stat()
        return stat(path + "-wal", &found) == 0 ? Int(found.st_size) : 0
    }

    /// Completes queued work and closes the file. Nothing can be read or written afterwards. Closing again has no
    /// effect.
    public func close() {
        reads.close()
        readers.forEach { $0.join() }
        writer.close()
    }

    private static var overloaded: StorageError {
        StorageError(.busy, "the database cannot keep up with the requests, or is closing; try again in a moment")
    }

    private static func readLoop(_ opening: Opening, _ queue: BlockingQueue<ReadJob>) {
        let opened = Result { try opening.connect(.readOnly) }
        while let job = queue.take(upTo: 1).first {
            switch opened {
            case .success(let connection): job(connection, nil)
            case .failure(let error): job(nil, error as? StorageError)
            }
        }
    }

    /// Creates the state directory, readable only by us, if it is missing.
    /// - Throws: ``StorageError``.
    public static func makeDirectory(_ directory: String) throws {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw StorageError(.unavailable, "cannot create \(directory): \(String(cString: strerror(errno)))")
        }
    }

    /// SQLite gives its -wal and -shm files the mode of the database file. The database file is therefore created
    /// first, readable only by us.
    private static func makePrivate(_ directory: String, file: String) throws {
        try makeDirectory(directory)
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StorageError(.unavailable, "cannot open \(file): \(String(cString: strerror(errno)))")
        }
        Glibc.close(descriptor)
    }
}
