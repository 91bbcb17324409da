import Glibc
import Logging
import ServiceLifecycle
import Storage
import Synchronization
import UnixSignals

/// SIGHUP: takes what can change while running, and says what needs a restart.
final class Reloader: Service {
    private let current: Mutex<Configuration>
    private let reload: @Sendable () throws -> Configuration
    private let keeper: CertificateKeeper?
    private let plans: PlanCatalogue
    private let logger: Logger
    private let status: @Sendable () -> String

    init(
        configuration: Configuration, reload: @escaping @Sendable () throws -> Configuration,
        keeper: CertificateKeeper?, plans: PlanCatalogue,
        logger: Logger, status: @escaping @Sendable () -> String
    ) {
        current = Mutex(configuration)
        self.reload = reload
        self.keeper = keeper
        self.plans = plans
        self.logger = logger
        self.status = status
    }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        for await _ in signals.cancelOnGracefulShutdown() {
            Systemd.reloading()
            apply()
            Systemd.ready(status())
        }
    }

    private func apply() {
        let fresh: Configuration
        do { fresh = try reload() } catch {
            return logger.error("nothing is reloaded", metadata: ["problem": "\(error)"])
        }
        let old = current.withLock { current in
            defer { current = fresh }
            return current
        }
        let changed = Setting.all.filter { old.text($0.key) != fresh.text($0.key) }
        LogSettings.shared.level = fresh.text("log-level").flatMap { Logger.Level(rawValue: $0) } ?? .info
        keeper?.reload(fresh)
        plans.configure(standard: fresh.text("plan-default"), changes: fresh.list("plan-limits"))
        let waiting = changed.filter { !$0.reloads }.map(\.key)
        logger.info("reloaded", metadata: ["changed": "\(changed.map(\.key).joined(separator: ","))"])
        if !waiting.isEmpty {
            logger.warning("these settings need a restart", metadata: ["settings": "\(waiting.joined(separator: ","))"])
        }
    }
}
