import Telemetry

/// The only writing thread, with group commit: everything that is queued becomes one transaction and one fsync, and
/// each caller gets its answer after that fsync.
///
/// The changes of each caller succeed or fail on their own, because each runs inside a savepoint.
final class DatabaseWriter: Sendable {
    /// Maximum number of queued transactions. Above it, callers are told to try again instead of waiting for minutes.
    static let queueCapacity = 8192
    /// Maximum number of transactions in one commit: enough to share an fsync, and few enough that the first does not
    /// wait long.
    static let groupCapacity = 256

    /// Reports the result of a caller's part of a group, once it is known.
    typealias Answer = @Sendable (StorageError?) -> Void

    struct Job: Sendable {
        /// Whether to run even if the disk is nearly full.
        let isEssential: Bool
        /// Runs inside the savepoint; `keep` is whether its changes are kept.
        let run: @Sendable (Transaction) -> (keep: Bool, answer: Answer)
        /// Answers a job that could not be run.
        let refuse: Answer
    }

    private let queue = BlockingQueue<Job>(capacity: queueCapacity)
    private let thread: WorkerThread

    /// - Throws: ``StorageError`` if the system refuses a thread.
    init(_ opening: Database.Opening, metrics: DatabaseMetrics, reserve: DiskReserve) throws {
        let queue = self.queue
        thread = try WorkerThread(name: "db-writer") { Self.loop(opening, queue, metrics, reserve) }
    }

    /// Returns false if the queue is full or closed. The job is then not run.
    func submit(_ job: Job) -> Bool { queue.push(job) }

    /// Completes queued jobs, then stops.
    func close() {
        queue.close()
        thread.join()
    }

    private static func loop(
        _ opening: Database.Opening, _ queue: BlockingQueue<Job>, _ metrics: DatabaseMetrics, _ reserve: DiskReserve
    ) {
        let opened = Result { try opening.connect(.readWrite) }
        while true {
            let group = queue.take(upTo: groupCapacity)
            if group.isEmpty { return }
            switch opened {
            case .success(let connection):
                let start = ContinuousClock.now
                commit(affordable(group, reserve), on: connection)
                metrics.commitTransactions.record(Double(group.count))
                metrics.commitSeconds.record(since: start)
            case .failure(let error): refuse(group, error)
            }
        }
    }

    /// Returns the jobs that may run with the current free disk space, and refuses the others.
    private static func affordable(_ group: [Job], _ reserve: DiskReserve) -> [Job] {
        do {
            try reserve.check()
            return group
        } catch {
            refuse(group.filter { !$0.isEssential }, error)
            return group.filter(\.isEssential)
        }
    }

    private static func commit(_ group: [Job], on connection: SQLiteConnection) {
        if group.isEmpty { return }
        var answers: [Answer] = []
        do {
            // IMMEDIATE takes the write lock now, while waiting for it has no side effects yet.
            try connection.run("BEGIN IMMEDIATE")
            for job in group {
                try connection.run("SAVEPOINT caller")
                connection.locks = []
                let (keep, answer) = job.run(Transaction(connection: connection))
                answers.append(answer)
                if !keep { try connection.run("ROLLBACK TO caller") }
                try connection.run("RELEASE caller")
            }
            try connection.run("COMMIT")
            answers.forEach { $0(nil) }
        } catch {
            let cause = error as? StorageError ?? StorageError(.failed, "\(error)")
            // A failed ROLLBACK means that SQLite has already rolled back (disk full, I/O error), which is the desired
            // state.
            _ = try? connection.run("ROLLBACK")
            answers.forEach { $0(cause) }
            refuse(group.dropFirst(answers.count), cause)
        }
    }

    private static func refuse(_ jobs: some Sequence<Job>, _ error: any Error) {
        let cause = error as? StorageError ?? StorageError(.failed, "\(error)")
        jobs.forEach { $0.refuse(cause) }
    }
}
