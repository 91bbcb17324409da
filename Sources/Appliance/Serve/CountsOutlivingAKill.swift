import Database
import Glibc
import Logging
import Model
import Operations
import Storage
import Telemetry
import Tunnels

/// Where rooms and tunnels count their traffic, so that nothing is lost if the process is killed.
enum CountsOutlivingAKill {
    /// Adds the counts of the last run's rooms that are not in the ledger yet, and starts again.
    /// - Throws: `StorageError`.
    static func relayed(stateDirectory: String, _ database: Database, _ logger: Logger) async throws -> KeptCounters {
        try await begin("relayed.counters", stateDirectory, logger) { left in
            try await database.write(essential: true) { try UsageLedger.settleBytes(left, now: .now(), in: $0) }
        }
    }

    /// The same for tunnels.
    /// - Throws: `StorageError`.
    static func tunnels(stateDirectory: String, _ database: Database, _ logger: Logger) async throws -> KeptCounters {
        try await begin("tunnels.counters", stateDirectory, logger) { left in
            let totals = TunnelTotals.left(in: left).mapValues { TunnelUsage($0) }
            try await database.write(essential: true) { try UsageLedger.settleTunnels(totals, now: .now(), in: $0) }
        }
    }

    private static func begin(
        _ name: String, _ stateDirectory: String, _ logger: Logger, settle: ([String: Int]) async throws -> Void
    ) async throws -> KeptCounters {
        // systemd's directory is in memory: this does not wear out a disk, and the directory survives a restart of the service.
        let runtime = getenv("RUNTIME_DIRECTORY").map { String(cString: $0) }?.split(separator: ":").first
        let path = "\(runtime.map(String.init) ?? stateDirectory)/\(name)"
        do {
            try await settle(try KeptCounters.left(at: path))
            return try KeptCounters(path: path)
        } catch let failure as KeptCounters.Failure {
            // It is more important to serve than to keep a minute's count.
            logger.warning(
                "byte counts are kept only in memory: a kill would lose those of the last minute",
                metadata: ["error": "\(failure)"])
            return KeptCounters()
        }
    }
}
