public import Telemetry

/// The metrics of the database's writer.
public final class DatabaseMetrics: Sendable {
    let commitTransactions = Histogram(bounds: Histogram.batchSizes)
    let commitSeconds = Histogram(bounds: Histogram.latencySeconds)

    public init() {}

    public func expose(to out: inout Exposition) {
        out.histogram("postern_database_commit_transactions", "Transactions in one commit.", commitTransactions)
        out.histogram("postern_database_commit_seconds", "Time of one commit.", commitSeconds)
    }
}
