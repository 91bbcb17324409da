import Database
import Model
import Relay
import Storage

/// What people do with share sessions, for the API and the pages alike.
struct SessionService: Sendable {
    let database: Database
    let relay: RelayServer

    /// Ends a session for everybody in it. What is not one's own, and may not be ended by one's role, is left as it is.
    /// - Returns: whether it was ended.
    func end(_ id: String, by host: Caller) async throws -> Bool {
        let ended = try await database.write(essential: true) { connection in
            let scope = connection.tenant(host.organisationId)
            guard let session = try ShareSession.active(id: id, in: scope) else { return false }
            if session.hostUserId != host.user.id || !host.hasScope(.sessionCreate) {
                do { _ = try host.member(may: .sessionEndAny, in: connection) } catch is Refusal { return false }
            }
            try Audit.record(.sessionEnded, target: id, by: host, now: .now(), in: scope)
            return try ShareSession.end(id: id, reason: .deleted, now: .now(), in: connection)
        }
        if ended { relay.sessionEnded(sessionId: id, reason: .deleted) }
        return ended
    }
}
