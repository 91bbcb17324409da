import Database
import Glibc
import Logging
import Model
import Storage
import Telemetry

/// Where rooms count what they carry, so that a kill loses none of it.
enum RelayedBytes {
    private static let name = "relayed.counters"

    /// Writes into the ledger what the last run counted and could not write any more, and begins anew.
    /// - Throws: `StorageError`.
    static func begin(stateDirectory: String, database: Database, logger: Logger) async throws -> KeptCounters {
        // systemd's directory is in memory, which wears out no disk, and stays from one start to the next.
        let runtime = getenv("RUNTIME_DIRECTORY").map { String(cString: $0) }?.split(separator: ":").first
        let path = "\(runtime.map(String.init) ?? stateDirectory)/\(name)"
        do {
            let left = try KeptCounters.left(at: path)
            try await database.write(essential: true) { try UsageLedger.settleBytes(left, now: .now(), in: $0) }
            return try KeptCounters(path: path)
        } catch let failure as KeptCounters.Failure {
            // Serving is worth more than a minute's count.
            logger.warning(
                "bytes are counted in memory alone: a kill would lose what came in the last minute",
                metadata: ["error": "\(failure)"])
            return KeptCounters()
        }
    }
}
