import HTTP1
import Model
import Synchronization

/// The sign-ins of members, shared by all event loops and the server's pages.
final class MemberSessions: Sendable {
    private let table = Mutex(MemberTable())

    func makeCode(for member: EdgeMember, host: String, state: String) -> String {
        table.withLock { $0.makeCode(for: member, host: host, state: state, now: .now()) }
    }

    /// Exchanges a code for a session's token.
    @Sendable func redeem(_ code: String, host: String, state: String) -> String? {
        table.withLock { $0.redeem(code, host: host, state: state, now: .now()) }
    }

    /// The member who is signed in on the request's host.
    func member(_ head: RequestHead) -> EdgeMember? {
        guard let host = head.host, let token = MemberGate.cookie(EdgeCookie.member, in: head) else { return nil }
        return table.withLock { $0.member(token, host: host, now: .now()) }
    }

    var members: [EdgeMember] { table.withLock { $0.members } }

    func remove(where isMeant: (EdgeMember) -> Bool) { table.withLock { $0.remove(where: isMeant) } }
}
