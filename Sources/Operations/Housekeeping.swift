public import Database
public import Logging
import Model
import NIOCore
public import Relay
public import ServiceLifecycle
public import Storage
import Telemetry
import Tunnels

/// Background work of the server: closes connections of revoked peers and updates the usage ledger.
public struct Housekeeping: Service {
    /// The interval after which another process's revocation takes effect here.
    private static let revocationPause = Duration.milliseconds(500)
    /// The interval between two updates of the ledger.
    private static let meterPause = Duration.seconds(60)
    /// The number of metering rounds between two removals of old rows: an hour.
    private static let roundsBetweenClearing = 60

    public let database: Database
    public let relay: RelayServer
    /// Nil if the server has no tunnels.
    private let tunnels: TunnelOperations?
    private let machines: MachineOperations?
    private let domains: DomainOperations?
    private let access: AccessOperations?
    private let mail: AccountMail?
    private let historyDays: Int
    public let logger: Logger
    /// A failing database is logged at intervals, not for each of the two checks per second.
    private let unread = RateLimitedLog("cannot read revocations", level: .error)

    /// - Parameter historyDays: how long ended share sessions are kept. 0 keeps them without limit.
    public init(
        database: Database, relay: RelayServer, tunnels: TunnelOperations?, machines: MachineOperations?,
        domains: DomainOperations? = nil, access: AccessOperations? = nil,
        mail: AccountMail? = nil, historyDays: Int, logger: Logger
    ) {
        self.domains = domains
        self.access = access
        self.mail = mail
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
            if let domains { group.addTask { await cancelWhenGracefulShutdown { await prove(domains) } } }
            if let access { group.addTask { await cancelWhenGracefulShutdown { await checkMembers(access) } } }
        }
        await writeUsage()
    }

    private func watchRevocations() async {
        // Starts with the oldest stored revocation: one that was added while the server started is not missed, and one
        // that was added earlier matches no connection.
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

    /// Verifies the proofs of domains again. Name servers may be slow: no other work waits for them.
    private func prove(_ domains: DomainOperations) async {
        while !Task.isCancelled {
            do {
                try await domains.upkeep()
                try await Task.sleep(for: Self.meterPause)
            } catch is CancellationError { return } catch {
                logger.error("cannot verify domains", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Ends sign-ins on private tunnels that have no revocation: an account or an organisation that was removed.
    private func checkMembers(_ access: AccessOperations) async {
        while !Task.isCancelled {
            do {
                try await Task.sleep(for: Self.revocationPause)
                try await access.upkeep()
            } catch is CancellationError { return } catch {
                logger.error("cannot check members of private tunnels", metadata: ["error": "\(error)"])
            }
        }
    }

    private func meter() async {
        var round = 0
        var last = Timestamp.now()
        await watchTunnels()
        while !Task.isCancelled {
            let pausedSince = Timestamp.now()
            try? await Task.sleep(for: Self.meterPause)
            await writeUsage(pausedSince: pausedSince)
            last = await revokeExpired(since: last)
            round += 1
            if round % Self.roundsBetweenClearing == 0 {
                await clearAway()
                do { try await access?.load() } catch {
                    logger.error("cannot load access policies", metadata: ["error": "\(error)"])
                }
                await watchTunnels()
            }
        }
    }

    private func watchTunnels() async {
        do { try await tunnels?.watch(mail) } catch {
            logger.error("cannot compare tunnels with their last week", metadata: ["error": "\(error)"])
        }
    }

    /// - Returns: the time up to which expired credentials have been added to the list.
    private func revokeExpired(since: Timestamp) async -> Timestamp {
        let now = Timestamp.now()
        do {
            try await database.write(essential: true) { try Revocation.addExpired(since: since, now: now, in: $0) }
            return now
        } catch {
            logger.error("cannot revoke expired credentials", metadata: ["error": "\(error)"])
            return since
        }
    }

    /// Numbers that cannot be stored now are included in the next round.
    private func writeUsage(pausedSince: Timestamp? = nil) async {
        let bytes = await relay.bytesRelayed()
        do {
            try await database.write(essential: true) { connection in
                try UsageLedger.meter(pausedSince: pausedSince, now: .now(), in: connection)
                try UsageLedger.settleBytes(bytes, now: .now(), in: connection)
            }
            try await tunnels?.upkeep()
            try await machines?.upkeep()
        } catch { logger.error("cannot write usage", metadata: ["error": "\(error)"]) }
    }

    private func clearAway() async {
        do {
            let gone = try await database.write { connection in
                try SignIn.clearAway(now: .now(), in: connection)
                try Audit.anchorAll(now: .now(), in: connection)
                return try Organisation.purge(now: .now(), in: connection)
            }
            // Each batch is a separate transaction.
            while try await database.write({ try History.clearAway(olderThan: historyDays, now: .now(), in: $0) }) > 0 {
            }
            for name in gone { logger.notice("a deleted organisation was removed", metadata: ["name": "\(name)"]) }
            // Stored outside of the database, so that an older copy of the database can be detected.
            let head = try await database.read { try Audit.head(in: $0.tenant(Audit.appliance)) }
            if let head {
                logger.info(
                    "audit head", metadata: ["number": "\(head.number)", "digest": "\(Hexadecimal.text(head.digest))"])
            }
        } catch { logger.error("cleanup failed", metadata: ["error": "\(error)"]) }
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
