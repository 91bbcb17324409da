public import Wire

/// What the relay asks of whoever knows accounts and sessions. The relay itself knows neither a URL nor a table.
public protocol RelayAuthority: Sendable {
    /// May this token's owner host this session?
    func admitHost(token: String, sessionId: String, from address: String) async -> Result<HostAdmission, RelayRefusal>
    /// Does this code let this token's owner in? The use is counted and the seat taken before this answers.
    func admitGuest(token: String, code: String, from address: String) async -> Result<GuestAdmission, RelayRefusal>
    /// A guest's seat is free again.
    func seatGivenUp(peerId: String) async
    /// A session has ended; answers when that is durable.
    func sessionEnded(sessionId: String, reason: SessionEnd) async
}

/// Why a session ended, as `sessionEnded` says it.
public enum SessionEnd: String, Sendable {
    /// The host said `endSession`.
    case hostEnded = "host_ended"
    /// The host did not return within its window.
    case hostGone = "host_gone"
    /// The owner deleted it through the API.
    case deleted
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

    public init(sessionId: String, peerId: String, userId: String, username: String) {
        self.sessionId = sessionId
        self.peerId = peerId
        self.userId = userId
        self.username = username
    }
}

public struct GuestAdmission: Sendable {
    public let sessionId: String
    public let sessionName: String?
    public let hostPublicKey: String
    public let hostUsername: String
    public let permission: Permission
    public let peerId: String
    public let userId: String
    public let username: String

    public init(
        sessionId: String, sessionName: String?, hostPublicKey: String, hostUsername: String, permission: Permission,
        peerId: String, userId: String, username: String
    ) {
        self.sessionId = sessionId
        self.sessionName = sessionName
        self.hostPublicKey = hostPublicKey
        self.hostUsername = hostUsername
        self.permission = permission
        self.peerId = peerId
        self.userId = userId
        self.username = username
    }
}
