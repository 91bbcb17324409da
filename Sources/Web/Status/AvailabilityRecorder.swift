import Database
import Logging
import Model
import ServiceLifecycle
import Storage

/// Records every minute whether the server could serve, for the bars of the status page.
struct AvailabilityRecorder: Service {
    private static let intervalSeconds = 60

    let board: StatusChecks
    let database: Database
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do { try await Task.sleep(for: .seconds(Self.intervalSeconds)) } catch { return }
                await record()
            }
        }
    }

    private func record() async {
        let isReady = await board.report().isReady
        do {
            try await database.write {
                try Availability.record(seconds: Self.intervalSeconds, isReady: isReady, now: .now(), in: $0)
            }
        } catch { logger.debug("recording the availability failed", metadata: ["error": "\(error)"]) }
    }
}
