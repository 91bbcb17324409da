/// Limits of messages on the wire; both sides enforce them.
public enum WireLimits {
    /// Maximum size of one WebSocket message, in bytes. A snapshot (256 KiB) and the largest JSON `relay` are well
    /// below it.
    public static let messageBytes = 1 << 20
    /// Maximum size of a text message other than `relay`, in bytes. The largest is a handshake payload of less than 1
    /// KiB.
    public static let controlMessageBytes = 64 << 10
    /// Maximum size of a server's message, in bytes: a client's largest message in base64, with its envelope.
    public static let serverMessageBytes = 2 << 20
    /// Maximum size of a handshake payload or public key in `keyExchange`, in bytes; ours have less than 200.
    public static let handshakeBytes = 4096
    /// Maximum number of fragments of one WebSocket message. No existing client sends more than one.
    public static let fragmentsPerMessage = 64
    /// The silence after which a WebSocket is pinged, in seconds.
    public static let pingAfterSeconds: Int64 = 10
    /// The silence after the ping after which it counts as gone, in seconds.
    public static let goneAfterPingSeconds: Int64 = 15
    /// The timeout from the upgrade to the first message, in seconds.
    public static let firstMessageSeconds: Int64 = 10
    /// Maximum length of a name, a title, a key or a code in JSON, in bytes of UTF-8.
    public static let shortTextBytes = 512
    /// Maximum length of a bearer token, in bytes of UTF-8: the longest JWT that the protocol allows.
    public static let tokenBytes = 2048
    /// Maximum plaintext output in one broadcast frame, in bytes. The pty's whole backlog fits in a few frames, and a
    /// slow connection still shows something every 100 ms.
    public static let outputChunkBytes = 16 << 10
}

/// WebSocket close codes of `/relay`.
public enum CloseCode {
    public static let normal: UInt16 = 1000
    public static let goingAway: UInt16 = 1001
    /// RFC 6455, section 7.4.1: the server failed. Clients reconnect.
    public static let internalError: UInt16 = 1011
    /// IANA's registry: the server is overloaded. Clients reconnect.
    public static let tryAgainLater: UInt16 = 1013
    public static let badMessage: UInt16 = 4400
    public static let notSignedIn: UInt16 = 4401
    public static let notAllowed: UInt16 = 4403
    public static let noSuchSession: UInt16 = 4404
    public static let tooSlow: UInt16 = 4408
    public static let replaced: UInt16 = 4409
    public static let rateLimited: UInt16 = 4429
}

/// The WebSocket subprotocol of the native relay endpoint.
public let relaySubprotocol = "postern.v1"
/// Its path.
public let relayPath = "/relay"

/// The path at which machines open their links in a WebSocket, and its subprotocol.
public let linkPath = "/link"
public let linkSubprotocol = "postern-link.1"
