import Glibc
import Logging
import ServiceLifecycle
import Storage
import Synchronization
import UnixSignals
import Web

/// SIGHUP: applies settings that can change while the server runs, and reports those that need a restart.
final class Reloader: Service {
    /// The configuration at the start. It stays in force for settings that need a restart.
    private let started: Configuration
    private let current: Mutex<Configuration>
    private let reload: @Sendable () throws -> Configuration
    private let keeper: CertificateKeeper?
    private let plans: PlanCatalogue
    private let server: WebServer
    private let logger: Logger
    private let status: @Sendable () -> String

    init(
        configuration: Configuration, reload: @escaping @Sendable () throws -> Configuration,
        keeper: CertificateKeeper?, plans: PlanCatalogue, server: WebServer,
        logger: Logger, status: @escaping @Sendable () -> String
    ) {
        started = configuration
        current = Mutex(configuration)
        self.server = server
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
            return logger.error("reload failed; nothing was changed", metadata: ["problem": "\(error)"])
        }
        let old = current.withLock { current in
            defer { current = fresh }
            return current
        }
        let changed = Setting.all.filter { $0.reloads && old[$0.key]?.text != fresh[$0.key]?.text }
        // Includes settings from earlier reloads: they still need a restart.
        let waiting = Setting.all.filter { !$0.reloads && started[$0.key]?.text != fresh[$0.key]?.text }.map(\.key)
        LogSettings.shared.level = Logger.Level(fresh[Settings.logLevel])
        keeper?.reload(fresh)
        plans.configure(standard: fresh[Settings.planDefault].rawValue, changes: fresh[Settings.planLimits])
        server.change(WebLimits(fresh))
        logger.info("reloaded", metadata: ["changed": "\(changed.map(\.key).joined(separator: ","))"])
        if !waiting.isEmpty {
            logger.warning("these settings need a restart", metadata: ["settings": "\(waiting.joined(separator: ","))"])
        }
    }
}
