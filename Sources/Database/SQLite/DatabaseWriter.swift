import Telemetry

/// The one thread that writes, with group commit: everything that waits becomes one transaction and one fsync,
/// and each caller is answered after that fsync.
///
/// A caller's own changes stand or fall alone: each runs inside a savepoint.
final class DatabaseWriter: Sendable {
    /// Transactions that may wait. Above it callers are told to try again instead of waiting for minutes.
    static let queueCapacity = 8192
    /// Transactions in one commit: enough to share an fsync, few enough that the first is not kept waiting.
    static let groupCapacity = 256

    /// What a caller's part of a group reports once its fate is known.
    typealias Answer = @Sendable (StorageError?) -> Void

    struct Job: Sendable {
        /// Runs also when the disk is nearly full.
        let isEssential: Bool
        /// Runs inside the savepoint; `keep` says whether its changes stay.
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

    /// False when the queue is full or closed: then the job will not run.
    func submit(_ job: Job) -> Bool { queue.push(job) }

    /// Finishes what waits, then stops.
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

    /// What may be written with the disk as full as it is; the rest is refused.
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
            // IMMEDIATE: take the write lock now, when waiting for it is still free of side effects.
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
            // A failed ROLLBACK means that SQLite already rolled back (disk full, I/O error): the state we want.
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
