public import Model

/// A member of an organisation who has signed in at the server's own pages.
public struct EdgeMember: Sendable, Equatable {
    public let userId, username, organisationId: String
    /// The sign-in, as a revocation names it.
    public let credentialId: String
    /// When the proof of an organisation's single sign-on ends; nil if none is needed.
    public let endsAt: Timestamp?

    public init(
        userId: String, username: String, organisationId: String, credentialId: String, endsAt: Timestamp? = nil
    ) {
        self.endsAt = endsAt
        self.userId = userId
        self.username = username
        self.organisationId = organisationId
        self.credentialId = credentialId
    }
}

/// The sign-ins of members on the hosts of private tunnels. The server's pages hand out a code, which the edge exchanges
/// for a session on that host. Both are kept in memory: after a restart, a browser fetches a new code without asking.
/// A pure state machine.
struct MemberTable {
    /// How long a code can be exchanged, in seconds.
    static let codeSeconds: Int64 = 60
    /// How long a session lasts, in seconds: half a day.
    static let sessionSeconds: Int64 = 12 * 3600
    /// The maximum number of codes, and of sessions. Above this, the oldest ones are dropped.
    static let capacity = 10_000
    /// The maximum number of codes, and of sessions, of one person. Above this, the person's oldest are dropped.
    static let perUser = 50

    private struct Entry {
        let member: EdgeMember
        let host: String
        /// Of a code: the browser that asked for it.
        let state: String
        let endsAt: Timestamp
        let number: Int
    }

    private var codes: [String: Entry] = [:]
    private var sessions: [String: Entry] = [:]
    private var number = 0

    /// - Parameter state: binds the code to the browser that asked for it.
    mutating func makeCode(for member: EdgeMember, host: String, state: String, now: Timestamp) -> String {
        let code = RandomText.makeReadable(letters: 32)
        insert(
            Entry(
                member: member, host: host, state: state, endsAt: now.advanced(bySeconds: Self.codeSeconds),
                number: nextNumber()), code, into: &codes, now)
        return code
    }

    /// Exchanges a code for a session. A code works once, whatever the result.
    /// - Returns: the session's token; nil if the code does not belong to this host and browser, or has expired.
    mutating func redeem(_ code: String, host: String, state: String, now: Timestamp) -> String? {
        guard let entry = codes.removeValue(forKey: code), entry.host == host, entry.state == state, now < entry.endsAt
        else { return nil }
        let token = RandomText.makeReadable(letters: 40)
        let end = now.advanced(bySeconds: Self.sessionSeconds)
        insert(
            Entry(
                member: entry.member, host: host, state: "", endsAt: min(end, entry.member.endsAt ?? end),
                number: nextNumber()), token, into: &sessions, now)
        return token
    }

    /// The member of a session on this host.
    func member(_ token: String, host: String, now: Timestamp) -> EdgeMember? {
        guard let entry = sessions[token], entry.host == host, now < entry.endsAt else { return nil }
        return entry.member
    }

    /// All members with a session.
    var members: [EdgeMember] { sessions.values.map(\.member) + codes.values.map(\.member) }

    /// Ends codes and sessions.
    mutating func remove(where isMeant: (EdgeMember) -> Bool) {
        codes = codes.filter { !isMeant($0.value.member) }
        sessions = sessions.filter { !isMeant($0.value.member) }
    }

    private mutating func nextNumber() -> Int {
        number += 1
        return number
    }

    private func insert(_ entry: Entry, _ key: String, into table: inout [String: Entry], _ now: Timestamp) {
        if table.count >= Self.capacity {
            table = table.filter { now < $0.value.endsAt }
            // A tenth at once, so that sorting is rare.
            if table.count >= Self.capacity {
                for (key, _) in table.sorted(by: { $0.value.number < $1.value.number }).prefix(Self.capacity / 10) {
                    table[key] = nil
                }
            }
        }
        let user = entry.member.userId
        if table.values.count(where: { $0.member.userId == user }) >= Self.perUser {
            let own = table.filter { $0.value.member.userId == user }
            if let oldest = own.min(by: { $0.value.number < $1.value.number }) { table[oldest.key] = nil }
        }
        table[key] = entry
    }
}
