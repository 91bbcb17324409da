public import Database
import Model
import NIOCore
public import Relay
public import Storage
public import Telemetry
public import Wire

/// Operations of people on share sessions and their codes. Used by the API, the pages and the command line.
public struct ShareOperations: Sendable {
    /// The number of attempts to find a free code: with a million codes in use, one attempt in 2,000 finds a taken one.
    private static let codeAttempts = 8

    public let database: Database
    public let relay: RelayServer
    private let changes: ChangeFeed

    /// - Parameter changes: notified of sessions that begin.
    public init(database: Database, relay: RelayServer, changes: ChangeFeed = ChangeFeed()) {
        self.database = database
        self.relay = relay
        self.changes = changes
    }

    // MARK: Sessions

    /// Starts a session. Its host must connect within the host's return window.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func start(publicKey: String, name: String?, by host: Caller) async throws -> ShareSession {
        let (session, timeLimit) = try await database.write { connection in
            let session = try ShareSession.start(
                host: host, publicKey: publicKey, name: name, now: .now(), in: connection)
            let plan = try Organisation.find(id: session.organisationId, in: connection)?.plan ?? .free
            return (session, session.endsAt.map { TimeLimit(endsAt: $0, plan: plan) })
        }
        try await relay.expectHost(sessionId: session.id, timeLimit: timeLimit).get()
        changes.changed(.sessions, in: session.organisationId)
        return session
    }

    /// An active session and its codes. Nil if the caller may not see its codes: a share code is a secret.
    public struct Listed: Sendable {
        public let session: ShareSession
        public let codes: [ShareCode]?
    }

    /// Active sessions of the caller's organisation.
    /// - Parameter all: all sessions, if the role allows it. Otherwise the caller's own.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func list(all: Bool, by host: Caller) async throws -> [Listed] {
        try await database.read { connection in
            let scope = connection.tenant(host.organisationId)
            do {
                _ = try host.member(may: all ? .sessionReadAll : .sessionCreate, in: connection)
            } catch let refusal as Refusal where refusal.code == .notAllowed && !all && host.scopes == nil {
                // A role that may not share has no sessions to list.
                return []
            }
            return try ShareSession.active(ownedBy: all ? nil : host.user.id, in: scope).map { session in
                let isOwn = session.hostUserId == host.user.id && host.hasScope(.sessionCreate)
                return Listed(
                    session: session, codes: isOwn ? try ShareCode.list(sessionId: session.id, in: scope) : nil)
            }
        }
    }

    /// Active sessions for a page: all of them if the role may see them, otherwise the caller's own.
    public struct Overview: Sendable {
        public struct Entry: Sendable {
            public let session: ShareSession
            /// The host's account name.
            public let host: String
            public let mayEnd: Bool
        }

        public let isEverybodys: Bool
        public let sessions: [Entry]
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func overview(by caller: Caller) async throws -> Overview {
        try await database.read { connection in
            let member = try caller.member(may: .tenantRead, in: connection)
            let seesAll = member.may(.sessionReadAll)
            let scope = connection.tenant(caller.organisationId)
            let sessions = try ShareSession.active(ownedBy: seesAll ? nil : caller.user.id, in: scope)
            return Overview(
                isEverybodys: seesAll,
                sessions: try sessions.map {
                    Overview.Entry(
                        session: $0, host: try User.find(id: $0.hostUserId, in: connection)?.username ?? "",
                        mayEnd: $0.hostUserId == caller.user.id || member.may(.sessionEndAny))
                })
        }
    }

    /// Ends a session for all its peers. Does nothing if the session is not the caller's own and the caller's role may not end it.
    /// - Returns: whether it was ended.
    /// - Throws: ``StorageError``.
    public func end(_ id: String, by host: Caller) async throws -> Bool {
        let ended = try await database.write(essential: true) { connection in
            let scope = connection.tenant(host.organisationId)
            guard let session = try ShareSession.active(id: id, in: scope) else { return false }
            if session.hostUserId != host.user.id || !host.hasScope(.sessionCreate) {
                do { _ = try host.member(may: .sessionEndAny, in: connection) } catch is Refusal { return false }
            }
            try Audit.record(.sessionEnded, target: id, by: host, now: .now(), in: scope)
            return try ShareSession.end(id: id, reason: .deleted, now: .now(), in: connection) != nil
        }
        if ended {
            relay.sessionEnded(sessionId: id, reason: .deleted)
            changes.changed(.sessions, in: host.organisationId)
        }
        return ended
    }

    /// Opens the rooms of the sessions that were active when the server stopped, so that their peers can return to
    /// their seats. All rooms are open when this returns: a peer that finds no room would start a new session.
    /// - Throws: ``StorageError``.
    public func reopenRooms() async throws {
        let stored = try await database.write(essential: true) { try StoredSeats.takeOver(now: .now(), in: $0) }
        let opened = stored.map { relay.restore(StoredRoom($0)) }
        for room in opened { try await room.get() }
    }

    // MARK: Codes

    /// - Throws: ``Refusal``; ``StorageError``.
    public func createCode(_ wanted: ShareCode.Request, sessionId: String, by host: Caller) async throws -> ShareCode {
        let candidates = (0..<Self.codeAttempts).map { _ in ShareCodeId.random().description }
        return try await database.write {
            try ShareCode.create(
                wanted, sessionId: sessionId, owner: host, candidates: candidates, now: .now(), in: $0)
        }
    }

    /// The codes of the caller's own session.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func codes(of sessionId: String, by host: Caller) async throws -> [ShareCode] {
        try await database.read { connection in
            let scope = connection.tenant(host.organisationId)
            let session = try ShareSession.owned(id: sessionId, by: host.user.id, in: scope)
            return try ShareCode.list(sessionId: session.id, in: scope)
        }
    }

    /// The session that a code opens now, for anybody who knows the code.
    /// - Throws: ``Refusal`` with the reason why it opens nothing; ``StorageError``.
    public func open(_ code: ShareCodeId) async throws -> OpenCode {
        try await database.read { try OpenCode.find(code: code.description, now: .now(), in: $0) }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func revoke(_ code: ShareCodeId, by caller: Caller) async throws {
        try await database.write(essential: true) {
            try ShareCode.revoke(code: code.description, by: caller, now: .now(), in: $0.tenant(caller.organisationId))
        }
    }
}

extension TimeLimit {
    init(endsAt: Timestamp, plan: Plan) {
        self.init(
            endsAtMilliseconds: endsAt.milliseconds,
            reason: "the session time limit of the \(plan.rawValue) plan is reached")
    }
}
