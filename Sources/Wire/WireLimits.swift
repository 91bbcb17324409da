/// Bounds of what crosses the wire; both sides enforce them.
public enum WireLimits {
    /// One WebSocket message, in bytes. A snapshot (256 KiB) and the largest JSON `relay` fit with room to spare.
    public static let messageBytes = 1 << 20
    /// A text message that is not `relay`, in bytes: the largest is a handshake payload of under 1 KiB.
    public static let controlMessageBytes = 64 << 10
    /// What a server sends, in bytes: a client's largest message in base64, with its envelope.
    public static let serverMessageBytes = 2 << 20
    /// A handshake payload or public key in `keyExchange`, in bytes; ours have under 200.
    public static let handshakeBytes = 4096
    /// Fragments of one WebSocket message. No client in the field sends more than one.
    public static let fragmentsPerMessage = 64
    /// How long a WebSocket may stay silent before it is pinged, in seconds.
    public static let pingAfterSeconds: Int64 = 10
    /// How long it may stay silent after the ping before it counts as gone, in seconds.
    public static let goneAfterPingSeconds: Int64 = 15
    /// How long after the upgrade the first message may take, in seconds.
    public static let firstMessageSeconds: Int64 = 10
    /// Bytes of UTF-8 of a name, a title, a key or a code in JSON.
    public static let shortTextBytes = 512
    /// Bytes of UTF-8 of a bearer token: the longest JWT the contract allows.
    public static let tokenBytes = 2048
    /// A plaintext output chunk in one broadcast frame, in bytes: the pty's whole backlog in a few frames, and small
    /// enough that a slow link shows something every 100 ms.
    public static let outputChunkBytes = 16 << 10
}

/// WebSocket close codes of `/relay`.
public enum CloseCode {
    public static let normal: UInt16 = 1000
    public static let goingAway: UInt16 = 1001
    /// RFC 6455, section 7.4.1: the server failed. Clients come back.
    public static let internalError: UInt16 = 1011
    /// IANA's registry: the server is overloaded. Clients come back.
    public static let tryAgainLater: UInt16 = 1013
    public static let badMessage: UInt16 = 4400
    public static let notSignedIn: UInt16 = 4401
    public static let notAllowed: UInt16 = 4403
    public static let noSuchSession: UInt16 = 4404
    public static let tooSlow: UInt16 = 4408
    public static let replaced: UInt16 = 4409
    public static let rateLimited: UInt16 = 4429
}

/// The WebSocket subprotocol of the native front door.
public let relaySubprotocol = "postern.v1"
/// Its path.
public let relayPath = "/relay"

/// Where machines open their links in a WebSocket, and the subprotocol of it.
public let linkPath = "/link"
public let linkSubprotocol = "postern-link.1"
