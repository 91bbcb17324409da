public import NIOCore

/// The `id` of a request, which its `ack` repeats: a number or a string, as the client prefers.
public enum MessageId: Sendable, Hashable, Codable {
    case number(Int)
    case text(String)

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .text(let text): try container.encode(text)
        }
    }
}

/// All JSON fields of a client's message, unchecked. ``ClientMessage`` is the validated form.
public struct ClientMessageText: Codable, Sendable, Equatable {
    /// Absent if the surrounding protocol names the event.
    public var type: String?
    public var id: MessageId?
    public var token: String?
    public var sessionId: String?
    public var code: String?
    public var guestPublicKey: String?
    public var name: String?
    /// True if the sender understands binary frames; if absent, it understands only JSON.
    public var binary: Bool?
    public var resumeToken: String?
    public var lastSequence: UInt64?
    public var encryptedData: String?
    public var nonce: String?
    public var targetUserId: String?
    public var targetPeerId: String?
    public var publicKey: String?
    public var payload: String?
    public var peerId: String?
    public var reason: String?

    public init(type: String? = nil) { self.type = type }
}

/// The recipient of a `relay` or `keyExchange`.
public enum MessageTarget: Sendable, Equatable {
    case peer(String)
    /// Every peer of that user.
    case user(String)
}

/// Why a host removes a guest, if the server needs to know.
public enum KickReason: String, Sendable, Equatable {
    /// The guest never proved the secret. The server returns the use of the code, and counts the attempt against the guest's account.
    case unproved
}

/// A validated request from client to server.
public enum ClientMessage: Sendable, Equatable {
    case joinAsHost(token: String, sessionId: String, binary: Bool)
    /// Without a token the guest has no account.
    case joinAsGuest(token: String?, code: String, publicKey: String, binary: Bool)
    /// Without `lastSequence`, only the seat is resumed, and the screen comes from a snapshot.
    case resume(token: String, lastSequence: UInt64?, binary: Bool)
    case relay(encryptedData: String, nonce: String, target: MessageTarget?)
    case keyExchange(target: MessageTarget?, publicKey: String?, payload: String?)
    case kick(peerId: String, reason: KickReason?)
    case endSession

    /// Parses one text message.
    /// - Returns: the request and the id to acknowledge.
    /// - Throws: ``MessageError`` naming the field.
    public static func parse(_ text: ByteBuffer) throws(MessageError) -> (message: ClientMessage, id: MessageId?) {
        let spelled = try JSONText.decode(ClientMessageText.self, from: text)
        guard let type = spelled.type else { throw MessageError("type is missing") }
        // The id is sent back in the acknowledgement.
        if case .text(let id)? = spelled.id { _ = try require(id, "id") }
        return (try ClientMessage(spelled, type: type, bytes: text.readableBytes), spelled.id)
    }

    /// Checks a message.
    /// - Parameters:
    ///   - type: its name.
    ///   - bytes: its length as JSON.
    /// - Throws: ``MessageError`` naming the field.
    public init(_ text: ClientMessageText, type: String, bytes: Int) throws(MessageError) {
        if type != "relay", bytes > WireLimits.controlMessageBytes {
            throw MessageError("a control message is at most \(WireLimits.controlMessageBytes) bytes long")
        }
        let binary = text.binary ?? false
        switch type {
        case "joinAsHost":
            self = .joinAsHost(
                token: try Self.require(text.token, "token", WireLimits.tokenBytes),
                sessionId: try Self.require(text.sessionId, "sessionId"), binary: binary)
        case "joinAsGuest":
            self = .joinAsGuest(
                token: text.token == nil ? nil : try Self.require(text.token, "token", WireLimits.tokenBytes),
                code: try Self.require(text.code, "code"),
                publicKey: try Self.require(text.guestPublicKey, "guestPublicKey"), binary: binary)
        case "resume":
            self = .resume(
                token: try Self.require(text.resumeToken, "resumeToken"), lastSequence: text.lastSequence,
                binary: binary)
        case "relay":
            self = .relay(
                encryptedData: try Self.require(text.encryptedData, "encryptedData", WireLimits.messageBytes),
                nonce: try Self.require(text.nonce, "nonce"), target: try Self.target(text))
        case "keyExchange":
            guard text.publicKey != nil || text.payload != nil else {
                throw MessageError("publicKey or payload is missing")
            }
            for (value, field) in [(text.publicKey, "publicKey"), (text.payload, "payload")] where value != nil {
                _ = try Self.require(value, field, WireLimits.handshakeBytes)
            }
            self = .keyExchange(
                target: try Self.target(text), publicKey: text.publicKey, payload: text.payload)
        case "kick":
            self = .kick(
                peerId: try Self.require(text.peerId, "peerId"),
                // An unknown reason from a newer client must not cause an error.
                reason: text.reason.flatMap { KickReason(rawValue: $0) })
        case "endSession": self = .endSession
        default: throw MessageError("type is not known to this protocol")
        }
    }

    private static func require(
        _ value: String?, _ field: String, _ limit: Int = WireLimits.shortTextBytes
    ) throws(MessageError) -> String {
        guard let value, !value.isEmpty else { throw MessageError("\(field) is missing") }
        guard value.utf8.count <= limit else { throw MessageError("\(field) is longer than \(limit) bytes") }
        return value
    }

    private static func target(_ text: ClientMessageText) throws(MessageError) -> MessageTarget? {
        if let peer = text.targetPeerId { return .peer(peer) }
        return text.targetUserId.map { .user($0) }
    }
}
