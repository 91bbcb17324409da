public import Database
public import Limits
public import Logging
public import Model
import NIOCore
public import Relay
import Storage
import Synchronization
public import Telemetry
public import Wire

/// Implements the relay's authority with accounts and the database.
public struct DatabaseRelayAuthority: RelayAuthority {
    public let database: Database
    public let authenticator: Authenticator
    public let limiter: RateLimiter
    public let logger: Logger
    /// The maximum number of seats that one account takes at one host without proving that it knows the words: enough for typing mistakes.
    private static let unprovedSeats = 5
    private static let unprovedWindow = TimeAmount.minutes(15)
    /// The seats that an account took at one host and never proved.
    private let unproved = AttemptLimiter(Self.unprovedSeats, per: Self.unprovedWindow)
    /// The seats that one address took with one code, without an account, and never proved. After the second one it waits for an hour.
    private let unprovedWithoutAccount = AttemptLimiter(1, per: .hours(1))
    private let addresses = GuestAddresses()

    private let changes: ChangeFeed

    /// - Parameter changes: notified of sessions that end.
    public init(
        database: Database, authenticator: Authenticator, limiter: RateLimiter, changes: ChangeFeed = ChangeFeed(),
        logger: Logger
    ) {
        self.changes = changes
        self.database = database
        self.authenticator = authenticator
        self.limiter = limiter
        self.logger = logger
    }

    public func admitHost(token: String, sessionId: String, from address: String) async -> Result<
        HostAdmission, RelayRefusal
    > {
        await admit(token: token, from: address) { caller in
            let peerId = Identifier.make()
            let resumeToken = ResumeToken.make(sessionId: sessionId)
            let isAllowed = try await database.write { connection in
                guard try caller.isStillGood(now: .now(), in: connection) else { throw Self.notSignedIn }
                let member = try caller.member(may: .sessionCreate, in: connection)
                let scope = connection.tenant(member.organisation.id)
                guard let session = try ShareSession.active(id: sessionId, in: scope),
                    session.hostUserId == caller.user.id
                else { return false }
                try ShareSession.seatHost(
                    id: sessionId, peerId: peerId, resumeDigest: ResumeToken.digest(resumeToken),
                    credentialId: caller.credential.id, now: .now(), in: scope)
                return true
            }
            guard isAllowed else { throw RelayRefusal("Unauthorized", closeCode: CloseCode.notAllowed) }
            return HostAdmission(
                sessionId: sessionId, peerId: peerId, userId: caller.user.id, username: caller.user.username,
                resumeToken: resumeToken, credentialId: caller.credential.id, organisationId: caller.organisationId)
        }
    }

    public func admitGuest(
        token: String?, code: String, publicKey: String, from address: String
    ) async -> Result<GuestAdmission, RelayRefusal> {
        guard let token else {
            return await admitting {
                try checkRate("address \(address)")
                let guest = GuestSeat.Guest.withoutAccount(address: address)
                let admission = try await seat(guest, nil, code: code, publicKey: publicKey)
                addresses.remember(admission.peerId, address)
                return admission
            }
        }
        return await admit(token: token, from: address) { caller in
            // A token with other permissions cannot open terminals.
            guard caller.hasScope(.sessionCreate) else {
                throw RelayRefusal("This token may not join sessions (session:create)", closeCode: CloseCode.notAllowed)
            }
            let guest = GuestSeat.Guest.account(caller.user, credentialId: caller.credential.id)
            return try await seat(guest, caller, code: code, publicKey: publicKey)
        }
    }

    private func seat(
        _ guest: GuestSeat.Guest, _ caller: Caller?, code: String, publicKey: String
    ) async throws -> GuestAdmission {
        guard let name = ShareCodeId(code) else {
            throw RelayRefusal("Code not found", closeCode: CloseCode.noSuchSession)
        }
        let (seat, resumeToken) = try await database.write { connection in
            if let caller, try !caller.isStillGood(now: .now(), in: connection) { throw Self.notSignedIn }
            let opened = try OpenCode.find(code: name.description, now: .now(), in: connection)
            if let wait = unprovedWait(guest, opened) {
                throw RelayRefusal(
                    "Too many joins without the words; try again in \(wait) s", closeCode: CloseCode.rateLimited)
            }
            var token = ""
            let seat = try GuestSeat.admit(
                guest: guest, code: name.description, publicKey: publicKey,
                resumeDigest: { sessionId in
                    token = ResumeToken.make(sessionId: sessionId)
                    return ResumeToken.digest(token)
                }, now: .now(), in: connection)
            return (seat, token)
        }
        let opened = seat.opened
        return GuestAdmission(
            sessionId: opened.session.id, sessionName: opened.session.sessionName,
            hostPublicKey: opened.session.hostPublicKey, hostUsername: opened.host.username,
            permission: opened.code.permission, peerId: seat.id, userId: caller?.user.id,
            username: caller?.user.username ?? SeatRecord.guestName, resumeToken: resumeToken,
            slot: Slot(clamping: seat.slot), credentialId: caller?.credential.id)
    }

    /// The number of seconds that a guest must wait before it may take another seat, after seats that it did not prove.
    private func unprovedWait(_ guest: GuestSeat.Guest, _ opened: OpenCode) -> Int? {
        switch guest {
        case .account(let user, _): unproved.wait(of: Self.key(guest: user.id, host: opened.host.id))
        case .withoutAccount(let address):
            unprovedWithoutAccount.wait(of: Self.key(code: opened.code.code, address: address))
        }
    }

    public func seatGivenUp(peerId: String, reason: KickReason?) async {
        await retryUntilStored("releasing a seat") {
            let unproved = try await database.write(essential: true) {
                try GuestSeat.leave(id: peerId, isUnproved: reason == .unproved, now: .now(), in: $0)
            }
            let address = addresses.forget(peerId)
            guard let unproved else { return }
            if let guest = unproved.guestId {
                _ = self.unproved.begin(Self.key(guest: guest, host: unproved.hostId))
            } else if let address {
                _ = unprovedWithoutAccount.begin(Self.key(code: unproved.code, address: address))
            }
        }
    }

    /// An account that takes seats without knowing the words must wait before it may take more seats at this host. This
    /// applies only to this host: no host can lock an account out of other sessions.
    private static func key(guest: String, host: String) -> String { "guest \(guest) host \(host)" }

    private static func key(code: String, address: String) -> String { "code \(code) address \(address)" }

    public func sessionEnded(sessionId: String, reason: SessionEnd) async {
        await retryUntilStored("ending a session") {
            let organisation = try await database.write(essential: true) {
                try ShareSession.end(id: sessionId, reason: reason, now: .now(), in: $0)
            }
            if let organisation { changes.changed(.sessions, in: organisation) }
        }
    }

    public func recordRelayed(bytes: Int, sessionId: String) async -> Bool {
        await retryUntilStored("writing usage") {
            try await database.write(essential: true) {
                try UsageLedger.settleBytes([sessionId: bytes], now: .now(), in: $0)
            }
        }
    }

    private func admit<Admission: Sendable>(
        token: String, from address: String, _ body: (Caller) async throws -> Admission
    ) async -> Result<Admission, RelayRefusal> {
        await admitting {
            try checkRate("address \(address)")
            guard let caller = try await authenticator.caller(token: token, address: address) else {
                throw Self.notSignedIn
            }
            try checkRate("user \(caller.user.id)")
            return try await body(caller)
        }
    }

    /// Converts the errors of a join to a refusal.
    private func admitting<Admission: Sendable>(
        _ body: () async throws -> Admission
    ) async -> Result<Admission, RelayRefusal> {
        do {
            return .success(try await body())
        } catch let refusal as RelayRefusal {
            return .failure(refusal)
        } catch let refusal as Refusal {
            return .failure(RelayRefusal(refusal.message, closeCode: CloseCode.notAllowed))
        } catch let error as StorageError where error.code == .full || error.code == .busy {
            // Temporary: not worth an error in the log.
            return .failure(RelayRefusal(error.remedy, closeCode: CloseCode.tryAgainLater))
        } catch {
            logger.error("a join failed", metadata: ["error": "\(error)"])
            return .failure(
                RelayRefusal("An internal error occurred; try again in a moment", closeCode: CloseCode.internalError))
        }
    }

    private func checkRate(_ key: String) throws {
        if let wait = limiter.take(key) {
            throw RelayRefusal("Too many joins; try again in \(wait) s", closeCode: CloseCode.rateLimited)
        }
    }

    private static let notSignedIn = RelayRefusal("Invalid token", closeCode: CloseCode.notSignedIn)

    /// The pause between attempts and their number: a quarter of an hour, in which a full disk or a busy database may recover.
    private static let retryPause = Duration.seconds(3)
    private static let tries = 300

    /// Runs `body` until it succeeds, at most ``tries`` times. Stops early if the database is closed, or if the task is
    /// cancelled after a failed attempt. Retries are important: a session or seat that is never ended keeps counting
    /// towards its limits.
    /// - Returns: whether `body` succeeded.
    @discardableResult
    private func retryUntilStored(_ what: String, _ body: () async throws -> Void) async -> Bool {
        for attempt in 1...Self.tries {
            do {
                try await body()
                return true
            } catch let error as StorageError where error.code == .unavailable {
                // The database is closed: the server has stopped.
                logger.error("\(what) failed", metadata: ["error": "\(error)"])
                return false
            } catch {
                if attempt == 1 || attempt == Self.tries {
                    logger.error("\(what) failed", metadata: ["error": "\(error)", "attempt": "\(attempt)"])
                }
                try? await Task.sleep(for: Self.retryPause)
                // The shutdown timeout of the server has expired.
                if Task.isCancelled { return false }
            }
        }
        return false
    }
}

/// The addresses of guests without an account, by peer id. Removed when a guest leaves, and lost in a restart.
private final class GuestAddresses: Sendable {
    /// The maximum number of stored addresses, far above the number of seats on one server.
    private static let capacity = 100_000

    private let table = Mutex(GenerationTable<String>(capacity: GuestAddresses.capacity))

    func remember(_ peerId: String, _ address: String) { table.withLock { _ = $0.set(peerId, to: address) } }

    func forget(_ peerId: String) -> String? {
        table.withLock { table in
            defer { table.remove(peerId) }
            return table[peerId]
        }
    }
}
