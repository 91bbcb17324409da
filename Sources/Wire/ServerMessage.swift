public import Model

/// A text message from server to client: events and acknowledgements. Each `type` sets some of the fields; the others
/// are omitted.
public struct ServerMessage: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
        case ack, guestJoined, relayData, keyExchange, peerDisconnected, peerReturned, sessionEnded, warning, goingAway
    }

    public var type: Kind
    // Acknowledgements
    public var id: MessageId?
    public var success: Bool?
    public var error: String?
    public var resumeToken: String?
    public var fromSequence: UInt64?
    public var hostPublicKey: String?
    public var hostUsername: String?
    public var sessionName: String?
    public var sessionId: String?
    // Peers
    public var peerId: String?
    public var slot: Slot?
    public var userId: String?
    public var username: String?
    /// False for a guest without an account, whose `userId` is its peer id; absent otherwise.
    public var hasAccount: Bool?
    public var guestPublicKey: String?
    public var permission: Permission?
    public var isHost: Bool?
    public var mayReturnUntil: String?
    // Data
    public var from: String?
    public var fromUserId: String?
    public var fromPeerId: String?
    public var encryptedData: String?
    public var nonce: String?
    public var kind: UInt8?
    public var epoch: UInt32?
    public var sequence: UInt64?
    public var publicKey: String?
    public var payload: String?
    // Notices
    public var reason: String?
    public var code: String?
    public var message: String?
    public var secondsLeft: Int?
    public var reconnectInMilliseconds: Int?

    public init(_ type: Kind) { self.type = type }

    public static func ack(_ id: MessageId?, error: String? = nil) -> ServerMessage {
        var ack = ServerMessage(.ack)
        ack.id = id
        ack.success = error == nil
        ack.error = error
        return ack
    }

    public static func warning(code: String, _ message: String) -> ServerMessage {
        var warning = ServerMessage(.warning)
        warning.code = code
        warning.message = message
        return warning
    }

    public static func sessionEnded(reason: String, message: String? = nil) -> ServerMessage {
        var ended = ServerMessage(.sessionEnded)
        ended.reason = reason
        ended.message = message
        return ended
    }
}
