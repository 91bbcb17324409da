import Crypto
public import Model
public import Wire

/// The relay's interface to accounts and sessions. The relay itself knows neither a URL nor a table.
public protocol RelayAuthority: Sendable {
    /// May this token's owner host this session?
    func admitHost(token: String, sessionId: String, from address: String) async -> Result<HostAdmission, RelayRefusal>
    /// Does this code let this token's owner in? The use is counted and the seat taken before this answers.
    /// - Parameters:
    ///   - token: nil for a guest without an account.
    ///   - publicKey: what the guest shows the host; kept, so that a room comes back whole after a restart.
    func admitGuest(
        token: String?, code: String, publicKey: String, from address: String
    ) async -> Result<GuestAdmission, RelayRefusal>
    /// A guest's seat is free again.
    /// - Parameter reason: why the host removed the guest, where it said so.
    func seatGivenUp(peerId: String, reason: KickReason?) async
    /// A session has ended; answers when that is durable.
    func sessionEnded(sessionId: String, reason: SessionEnd) async
    /// Records the bytes that the room of an ended session has delivered.
    /// - Returns: whether the record is durable.
    func recordRelayed(bytes: Int, sessionId: String) async -> Bool
}

/// When a session ends by itself, and what its people are told then.
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

/// Whose peers must go, because what let them in is not good any more.
public enum RevokedPeers: Sendable, Equatable {
    case credential(String)
    case user(String)
    /// Only where the session is the organisation's: a guest is let in by a code.
    case hostOf(organisationId: String, userId: String)
}

/// Why somebody may not join: the sentence for the `ack`, and the close code when the connection is closed for it.
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
    /// Gives the seat back after a dropped connection, and after a restart: only its SHA-256 is kept.
    public let resumeToken: String
    /// What let the host in, as a revocation names it; nil where nothing can revoke it.
    public let credentialId: String?
    /// Whose session it is.
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
    /// As with the host's.
    public let resumeToken: String
    /// The guest's place in the room, which is its own for as long as the session lasts.
    public let slot: Slot
    /// As with the host's.
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

/// What the relay hands out as resume tokens.
public enum ResumeToken {
    /// The session's id leads to the room; the rest is 256 random bits.
    public static func make(sessionId: String) -> String {
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<4).map { _ in String(UInt64.random(in: .min ... .max, using: &generator), radix: 36) }
        return ([sessionId] + secret).joined(separator: ".")
    }

    /// What is kept of it.
    public static func digest(_ token: String) -> [UInt8] { Array(SHA256.hash(data: Array(token.utf8))) }
}

/// The seats of a session as they were when the server stopped.
public struct StoredRoom: Sendable {
    public let sessionId: String
    public let timeLimit: TimeLimit?
    /// What the room handed to its peers so far.
    public let bytesRelayed: Int
    /// Nil where the host had not come yet.
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
