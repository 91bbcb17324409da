import Database
import Glibc
import NIOCore
import Operations
import Relay
import Storage
import Synchronization
import Telemetry
import TransportSecurity
import Tunnels

/// The state of the backups, for the status page.
public struct BackupReport: Sendable {
    /// The time of the newest backup in epoch seconds. Nil if there is none.
    public let newest: Int?
    /// The interval between two backups in seconds. Nil if none are made.
    public let interval: Int?
    /// The error of the last attempt.
    public let problem: String?
    public let directory: String
    /// Newest first.
    public let files: [BackupFile]

    public init(newest: Int?, interval: Int?, problem: String?, directory: String = "", files: [BackupFile] = []) {
        self.directory = directory
        self.files = files
        self.newest = newest
        self.interval = interval
        self.problem = problem
    }
}

/// A backup on disk.
public struct BackupFile: Sendable {
    public let name: String
    /// Epoch seconds.
    public let madeAt: Int
    public let bytes: Int

    public init(name: String, madeAt: Int, bytes: Int) {
        self.name = name
        self.madeAt = madeAt
        self.bytes = bytes
    }
}

/// Checks all parts of the server, for `/ready`, the status page and its history. A result is reused for a few seconds,
/// however many callers there are.
final class StatusChecks: Sendable {
    /// How long a result is reused.
    private static let freshness = Duration.seconds(5)
    /// Warns if the free space is below this multiple of the reserve.
    private static let warningFactor = 2

    /// The maximum time for an event loop to respond: a hundred times the time it needs under load.
    private static let loopPatience = TimeAmount.seconds(1)

    private let parts: WebParts
    private let loops: LoopProbe
    private let last = Mutex<StatusReport?>(nil)
    /// Callers during a check share its result.
    private let check = SerialCheck()

    init(_ parts: WebParts, group: any EventLoopGroup) {
        self.parts = parts
        loops = LoopProbe(group)
    }

    func report() async -> StatusReport {
        if let known = fresh { return known }
        return await check.run {
            // Another check may have ended while this caller waited.
            if let known = self.fresh { return known }
            let components = [
                await self.database(), await self.relay(), self.certificate(), self.acme(), self.disk(),
                self.backups(), self.tunnels(), self.domains(),
            ].compactMap { $0 }
            let report = StatusReport(components: components, checkedAt: .now)
            self.last.withLock { $0 = report }
            return report
        }
    }

    private var fresh: StatusReport? {
        last.withLock { $0 }.flatMap { ContinuousClock.now - $0.checkedAt < Self.freshness ? $0 : nil }
    }

    /// Nil if the owner has not enabled tunnels.
    private func tunnels() -> Component? {
        let metrics = parts.metrics.tunnels
        return parts.tunnelCertificate()?.component(tunnels: metrics.tunnels.value, now: time(nil))
    }

    /// The certificates of domains. Nil if there are none. The page is public: it names none of them.
    private func domains() -> Component? {
        guard let counts = parts.domainCertificates?.counts(), !counts.isEmpty else { return nil }
        let all = counts.values.reduce(0, +)
        let bad = counts["failed", default: 0] + counts["ending", default: 0]
        guard bad > 0 else { return Component("domains", .ok, "\(all) certificates of domains.") }
        return Component(
            "domains", .warning, "\(bad) of \(all) certificates of domains need attention; 'All domains' names them.")
    }

    private func database() async -> Component {
        let start = ContinuousClock.now
        do {
            try await parts.database.read { try $0.check() }
            try await parts.database.write { try $0.check() }
            let elapsed = (ContinuousClock.now - start).components
            let milliseconds = elapsed.seconds * 1000 + elapsed.attoseconds / 1_000_000_000_000_000
            return Component("database", .ok, "Reads and writes, in \(max(1, milliseconds)) ms.")
        } catch let error as StorageError where error.code == .full {
            // Only the owner may see paths: the log and 'postern doctor' name them.
            return Component("database", .warning, "Reads work; writes are refused until disk space is freed.")
        } catch let error as StorageError where error.code == .busy {
            return Component("database", .warning, "Busy: \(error.message).")
        } catch {
            return Component("database", .failed, "Does not respond; see the server's log.")
        }
    }

    /// Rooms run on the event loops: a loop that does not respond blocks all of its rooms.
    private func relay() async -> Component {
        await loops.answer(within: Self.loopPatience)
            ? Component("relay", .ok, "Working.")
            : Component("relay", .failed, "An event loop does not respond; see the server's log, then restart it.")
    }

    private func certificate() -> Component? {
        guard let report = parts.certificate() else { return nil }
        let days = report.daysLeft(now: Int(time(nil)))
        let issuer = report.facts.isSelfSigned ? "self-signed" : "from \(report.mode == "acme" ? "ACME" : "files")"
        if days < 0 {
            let remedy = report.mode == "acme" ? "renew it ('postern cert renew')" : "replace it"
            return Component("certificate", .failed, "Expired; \(remedy).")
        }
        if let problem = report.problem {
            let state: Component.State = report.urgency == .alarm ? .alarm : .warning
            return Component(
                "certificate", state, "Valid for \(days) days, \(issuer). The last attempt to renew failed: \(problem)")
        }
        switch report.urgency {
        case .good: return Component("certificate", .ok, "Valid for \(days) days, \(issuer).")
        case .warning: return Component("certificate", .warning, "Valid for only \(days) days, \(issuer).")
        case .alarm: return Component("certificate", .alarm, "Expires in \(days) days, \(issuer): renew it now.")
        }
    }

    /// With tls-mode acme: the state of the certificate order, with the authority's own error text if it refused.
    private func acme() -> Component? {
        guard let renewal = parts.certificate()?.renewal else { return nil }
        let wait = max(0, renewal.nextAttempt - Int(time(nil)))
        let next = "Next check in \(DurationText.text(wait))."
        if let problem = renewal.problem { return Component("acme", .warning, "\(problem). \(next)") }
        return Component("acme", .ok, "\(renewal.doing.prefix(1).uppercased() + renewal.doing.dropFirst()). \(next)")
    }

    private func disk() -> Component? {
        guard let space = DiskSpace(of: parts.stateDirectory) else { return nil }
        // Only signed-in people may see the exact number.
        if space.freeBytes < parts.reserveBytes {
            return Component("disk", .failed, "Too full to write; free some space.")
        }
        let isLow = space.freeBytes < parts.reserveBytes * Self.warningFactor
        return isLow
            ? Component("disk", .warning, "Nearly full: free up space.") : Component("disk", .ok, "Enough free space.")
    }

    private func backups() -> Component? {
        let report = parts.backups()
        if report.problem != nil { return Component("backups", .warning, "The last one failed; see the server's log.") }
        guard let interval = report.interval else {
            return Component("backups", .ok, "Not scheduled (backup-every-hours is 0).")
        }
        guard let newest = report.newest else { return Component("backups", .ok, "None yet.") }
        let age = Int(time(nil)) - newest
        let text = "The newest is \(DurationText.text(max(0, age))) old."
        return Component("backups", age > interval * 2 ? .warning : .ok, text)
    }
}

/// Runs one check at a time; other callers wait.
private actor SerialCheck {
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func run(_ check: @Sendable () async -> StatusReport) async -> StatusReport {
        while isBusy { await withCheckedContinuation { waiting.append($0) } }
        isBusy = true
        let report = await check()
        isBusy = false
        let resumed = waiting
        waiting = []
        resumed.forEach { $0.resume() }
        return report
    }
}
