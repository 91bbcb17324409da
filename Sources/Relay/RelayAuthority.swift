import Crypto
public import Model
public import Wire

/// The relay's interface to accounts and sessions. The relay itself knows no URL and no database table.
public protocol RelayAuthority: Sendable {
    /// Checks whether the owner of this token may host this session.
    func admitHost(token: String, sessionId: String, from address: String) async -> Result<HostAdmission, RelayRefusal>
    /// Checks whether this code admits the owner of this token. The use of the code is counted and the seat is taken
    /// before this returns.
    /// - Parameters:
    ///   - token: nil for a guest without an account.
    ///   - publicKey: what the guest shows the host. It is stored so that a room is complete after a restart.
    func admitGuest(
        token: String?, code: String, publicKey: String, from address: String
    ) async -> Result<GuestAdmission, RelayRefusal>
    /// Frees a guest's seat.
    /// - Parameter reason: why the host removed the guest, if it gave a reason.
    func seatGivenUp(peerId: String, reason: KickReason?) async
    /// Records that a session has ended. Returns once the record is durable.
    func sessionEnded(sessionId: String, reason: SessionEnd) async
    /// Records the bytes that the room of an ended session has delivered.
    /// - Returns: whether the record is durable.
    func recordRelayed(bytes: Int, sessionId: String) async -> Bool
}

/// The time at which the plan ends a session, and the reason its participants are shown.
public struct TimeLimit: Sendable, Equatable {
    /// Milliseconds since 1970.
    public let endsAtMilliseconds: Int64
    /// The sentence names the plan.
    public let reason: String

    public init(endsAtMilliseconds: Int64, reason: String) {
        self.endsAtMilliseconds = endsAtMilliseconds
        self.reason = reason
    }
}

/// The peers to disconnect because the credential that admitted them is no longer valid.
public enum RevokedPeers: Sendable, Equatable {
    case credential(String)
    case user(String)
    /// Only if the session belongs to the organisation: a guest is admitted by a code.
    case hostOf(organisationId: String, userId: String)
}

/// Why somebody may not join: the sentence for the `ack`, and the close code if the connection is closed for it.
public struct RelayRefusal: Error, Sendable, Equatable {
    public let message: String
    public let closeCode: UInt16

    public init(_ message: String, closeCode: UInt16) {
        self.message = message
        self.closeCode = closeCode
    }
}

public struct HostAdmission: Sendable {
    public let sessionId: String
    public let peerId: String
    public let userId: String
    public let username: String
    /// Returns the seat after a dropped connection or a restart. Only its SHA-256 is stored.
    public let resumeToken: String
    /// The credential that admitted the host, as a revocation names it; nil if nothing can revoke it.
    public let credentialId: String?
    /// The organisation that owns the session.
    public let organisationId: String?

    public init(
        sessionId: String, peerId: String, userId: String, username: String, resumeToken: String,
        credentialId: String? = nil, organisationId: String? = nil
    ) {
        self.credentialId = credentialId
        self.organisationId = organisationId
        self.sessionId = sessionId
        self.peerId = peerId
        self.userId = userId
        self.username = username
        self.resumeToken = resumeToken
    }
}

public struct GuestAdmission: Sendable {
    public let sessionId: String
    public let sessionName: String?
    public let hostPublicKey: String
    public let hostUsername: String
    public let permission: Permission
    public let peerId: String
    /// Nil for a guest without an account.
    public let userId: String?
    public let username: String
    /// Returns the seat, as the host's token does.
    public let resumeToken: String
    /// The guest's slot in the room. It belongs to the guest for the whole session.
    public let slot: Slot
    /// The credential that admitted the guest; nil if nothing can revoke it.
    public let credentialId: String?

    public init(
        sessionId: String, sessionName: String?, hostPublicKey: String, hostUsername: String, permission: Permission,
        peerId: String, userId: String?, username: String, resumeToken: String, slot: Slot, credentialId: String? = nil
    ) {
        self.credentialId = credentialId
        self.sessionId = sessionId
        self.sessionName = sessionName
        self.hostPublicKey = hostPublicKey
        self.hostUsername = hostUsername
        self.permission = permission
        self.peerId = peerId
        self.userId = userId
        self.username = username
        self.resumeToken = resumeToken
        self.slot = slot
    }
}

/// The resume tokens that the relay issues.
public enum ResumeToken {
    /// The session's id leads to the room; the rest is 256 random bits.
    public static func make(sessionId: String) -> String {
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<4).map { _ in String(UInt64.random(in: .min ... .max, using: &generator), radix: 36) }
        return ([sessionId] + secret).joined(separator: ".")
    }

    /// The digest that is stored.
    public static func digest(_ token: String) -> [UInt8] { Array(SHA256.hash(data: Array(token.utf8))) }
}

/// The seats of a session as they were when the server stopped.
public struct StoredRoom: Sendable {
    public let sessionId: String
    public let timeLimit: TimeLimit?
    /// Bytes that the room has sent to its peers so far.
    public let bytesRelayed: Int
    /// Nil if the host had not joined yet.
    public let host: SeatRecord?
    public let guests: [SeatRecord]

    public init(
        sessionId: String, timeLimit: TimeLimit? = nil, bytesRelayed: Int = 0, host: SeatRecord?,
        guests: [SeatRecord]
    ) {
        self.sessionId = sessionId
        self.bytesRelayed = bytesRelayed
        self.timeLimit = timeLimit
        self.host = host
        self.guests = guests
    }
}
