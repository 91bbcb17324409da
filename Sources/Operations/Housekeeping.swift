public import Database
public import Logging
import Model
import NIOCore
public import Relay
public import ServiceLifecycle
public import Storage
import Telemetry
import Tunnels

/// What the server does by itself while it runs: it cuts off revoked peers, and keeps the usage ledger.
public struct Housekeeping: Service {
    /// How soon another process's revocation takes effect here.
    private static let revocationPause = Duration.milliseconds(500)
    /// The ledger's step.
    private static let meterPause = Duration.seconds(60)
    /// Rounds of metering between clearing away what is old: an hour.
    private static let roundsBetweenClearing = 60

    public let database: Database
    public let relay: RelayServer
    /// Nil where the server has no tunnels.
    private let tunnels: TunnelOperations?
    private let machines: MachineOperations?
    private let historyDays: Int
    public let logger: Logger
    /// A database that fails is said once in a while, not with each of two looks a second.
    private let unread = RateLimitedLog("revocations cannot be read", level: .error)

    /// - Parameter historyDays: how long ended share sessions are kept; 0 for ever.
    public init(
        database: Database, relay: RelayServer, tunnels: TunnelOperations?, machines: MachineOperations?,
        historyDays: Int, logger: Logger
    ) {
        self.machines = machines
        self.tunnels = tunnels
        self.database = database
        self.historyDays = historyDays
        self.relay = relay
        self.logger = logger
    }

    public func run() async throws {
        await withDiscardingTaskGroup { group in
            group.addTask { await cancelWhenGracefulShutdown { await watchRevocations() } }
            group.addTask { await cancelWhenGracefulShutdown { await meter() } }
        }
        await writeUsage()
    }

    private func watchRevocations() async {
        // From the beginning of what is kept: one that came while the server started is not overlooked, and one that came before
        // finds nobody.
        var last = 0
        while !Task.isCancelled {
            let known = last
            do {
                for revocation in try await database.read({ try Revocation.list(after: known, in: $0) }) {
                    relay.revoke(RevokedPeers(revocation.subject))
                    await tunnels?.server.revoke(RevokedLinks(revocation.subject))
                    last = revocation.number
                }
            } catch { unread.log(to: logger, metadata: ["error": "\(error)"]) }
            try? await Task.sleep(for: Self.revocationPause)
        }
    }

    private func meter() async {
        var round = 0
        var last = Timestamp.now()
        while !Task.isCancelled {
            let pausedSince = Timestamp.now()
            try? await Task.sleep(for: Self.meterPause)
            await writeUsage(pausedSince: pausedSince)
            last = await revokeExpired(since: last)
            round += 1
            if round % Self.roundsBetweenClearing == 0 { await clearAway() }
        }
    }

    /// - Returns: the time up to which credentials that ended by themselves are on the list.
    private func revokeExpired(since: Timestamp) async -> Timestamp {
        let now = Timestamp.now()
        do {
            try await database.write(essential: true) { try Revocation.addExpired(since: since, now: now, in: $0) }
            return now
        } catch {
            logger.error("expired credentials cannot be revoked", metadata: ["error": "\(error)"])
            return since
        }
    }

    /// What cannot be written down now is part of the next round's numbers.
    private func writeUsage(pausedSince: Timestamp? = nil) async {
        let bytes = await relay.bytesRelayed()
        do {
            try await database.write(essential: true) { connection in
                try UsageLedger.meter(pausedSince: pausedSince, now: .now(), in: connection)
                try UsageLedger.settleBytes(bytes, now: .now(), in: connection)
            }
            try await tunnels?.upkeep()
            try await machines?.upkeep()
        } catch { logger.error("usage cannot be written", metadata: ["error": "\(error)"]) }
    }

    private func clearAway() async {
        do {
            let gone = try await database.write { connection in
                try SignIn.clearAway(now: .now(), in: connection)
                try Audit.anchorAll(now: .now(), in: connection)
                return try Organisation.purge(now: .now(), in: connection)
            }
            // Each batch is a transaction of its own.
            while try await database.write({ try History.clearAway(olderThan: historyDays, now: .now(), in: $0) }) > 0 {
            }
            for name in gone { logger.notice("a deleted organisation was removed", metadata: ["name": "\(name)"]) }
            // Outside of the database, so that an older copy in its place can be detected.
            let head = try await database.read { try Audit.head(in: $0.tenant(Audit.appliance)) }
            if let head {
                logger.info(
                    "audit head", metadata: ["number": "\(head.number)", "digest": "\(Hexadecimal.text(head.digest))"])
            }
        } catch { logger.error("clearing away failed", metadata: ["error": "\(error)"]) }
    }
}

extension RevokedPeers {
    public init(_ subject: Revocation.Subject) {
        switch subject {
        case .user(let id): self = .user(id)
        case .credential(let id): self = .credential(id)
        case .member(let user, let organisation): self = .hostOf(organisationId: organisation, userId: user)
        }
    }
}
