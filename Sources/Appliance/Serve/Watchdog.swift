import Database
import Logging
import NIOCore
import ServiceLifecycle
import Storage
import Synchronization
import Telemetry

/// Feeds systemd's watchdog, but only while the database's writer and every event loop respond. Measures both response times.
///
/// The watchdog is not fed by an independent timer: if a part hangs, its check does not return and the round never ends.
struct Watchdog: Service {
    /// The interval between two rounds in seconds, if there is no watchdog to feed.
    private static let measureSeconds = 5

    let database: Database
    let group: any EventLoopGroup
    let loopLagSeconds: Histogram
    let logger: Logger
    /// One line for `systemctl status`.
    let status: @Sendable () -> String

    func run() async throws {
        let interval = Systemd.watchdogInterval
        // Three rounds per interval: one may be slow.
        let pause = interval.map { Duration.microseconds(Int64($0 / 3)) } ?? .seconds(Self.measureSeconds)
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await round()
                do { try await Task.sleep(for: pause) } catch { return }
            }
        }
    }

    private func round() async {
        for loop in group.makeIterator() {
            let asked = ContinuousClock.now
            // Submitting to a running loop cannot fail.
            try? await loop.submit {}.get()
            loopLagSeconds.record(since: asked)
        }
        do {
            try await database.write { try $0.check() }
        } catch let error as StorageError where error.code == .busy || error.code == .full {
            // The writer responded. If it refused the write, the status page shows that. It is not a reason to kill the server.
        } catch {
            return logger.error(
                "the database writer failed; the watchdog is not notified", metadata: ["error": "\(error)"])
        }
        Systemd.feedWatchdog()
        Systemd.status(status())
    }
}
