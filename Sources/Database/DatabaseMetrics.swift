public import Telemetry

/// What the database's writer measures.
public final class DatabaseMetrics: Sendable {
    let commitTransactions = Histogram(bounds: Histogram.batchSizes)
    let commitSeconds = Histogram(bounds: Histogram.latencySeconds)

    public init() {}

    public func expose(to out: inout Exposition) {
        out.histogram("postern_database_commit_transactions", "Transactions in one commit.", commitTransactions)
        out.histogram("postern_database_commit_seconds", "Time of one commit.", commitSeconds)
    }
}
