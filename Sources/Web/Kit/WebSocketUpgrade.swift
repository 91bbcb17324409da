import Limits
import NIOCore
import NIOHTTP1
import NIOWebSocket
public import Relay
import Sockets
import TransportSecurity
import Tunnels
import WebSocket
import Wire

/// WebSocket upgrades: to the relay, on its own path and on Socket.IO's, and to links of machines whose networks allow no other protocol.
struct WebSocketUpgrade: UpgradeProtocol {
    let name = WebSocketUpgrader.name
    let relay: RelayServer
    let tunnels: TunnelServer
    /// The TLS settings of the server's end of links. Nil if it has none.
    let link: TLSContext?
    let events: ConnectionEvents
    /// Proxies whose X-Forwarded-For is trusted.
    let proxies: TrustedProxies

    func upgrader(
        for connection: ConnectionTransfer
    ) -> any NIOTypedHTTPServerProtocolUpgrader<ConnectionOutcome> {
        WebSocketUpgrader(upgrade: self, transport: connection)
    }
}

/// The relay's rooms move connections to their own event loops.
extension ConnectionTransfer: PeerTransport {}

/// Turns a request into a peer of the relay or into a link. NIO's upgrader checks the request and answers it (RFC 6455,
/// section 4.2). After that our own framing reads the socket.
private struct WebSocketUpgrader: NIOTypedHTTPServerProtocolUpgrader {
    typealias UpgradeResult = ConnectionOutcome

    /// The path of Socket.IO clients.
    static let socketIOPath = "/socket.io/"

    /// The name in `Upgrade`.
    static let name = "websocket"

    let supportedProtocol = name
    let requiredUpgradeHeaders: [String] = []
    private let upgrade: WebSocketUpgrade
    private let transport: any PeerTransport
    private let handshake: NIOTypedWebSocketServerUpgrader<ConnectionOutcome>

    /// - Parameter transport: moves the connection to its room.
    init(upgrade: WebSocketUpgrade, transport: any PeerTransport) {
        self.upgrade = upgrade
        self.transport = transport
        handshake = NIOTypedWebSocketServerUpgrader(
            shouldUpgrade: { channel, head in
                channel.eventLoop.makeSucceededFuture(Self.headers(head))
            },
            // Never called: `upgrade` below replaces it.
            upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededFuture(.taken) })
    }

    func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        handshake.buildUpgradeResponse(
            channel: channel, upgradeRequest: upgradeRequest, initialResponseHeaders: initialResponseHeaders)
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<ConnectionOutcome> {
        channel.eventLoop.makeCompletedFuture {
            let client = upgrade.proxies.client(
                channel.remoteAddress?.ipAddress, upgradeRequest.headers["X-Forwarded-For"])
            if upgradeRequest.path == linkPath {
                guard let link = upgrade.link else { throw ChannelError.operationUnsupported }
                try channel.pipeline.syncOperations.addHandler(WebSocketStreamHandler(role: .server))
                try upgrade.tunnels.addLink(to: channel, tls: link, events: upgrade.events, address: client.key)
                return .taken
            }
            let isSocketIO = upgradeRequest.path != relayPath
            // A host sends much more data than a request contains.
            try channel.syncOptions?.setOption(.recvAllocator, value: ConnectionTransfer.receiveAllocator)
            try upgrade.relay.addPeer(to: channel, address: client.key, isSocketIO: isSocketIO, transport: transport)
            return .taken
        }
    }

    /// - Returns: nil if this is not one of our upgrades.
    private static func headers(_ head: HTTPRequestHead) -> HTTPHeaders? {
        // RFC 6455, section 4.2.1: GET, and a key of 16 bytes.
        guard head.method == .GET, isKey(head.headers["Sec-WebSocket-Key"]) else { return nil }
        switch head.path {
        case relayPath:
            let offered = head.headers[canonicalForm: "Sec-WebSocket-Protocol"]
            // If a client lists protocols, the list must contain ours (RFC 6455, section 4.1).
            if offered.isEmpty { return [:] }
            return offered.contains(Substring(relaySubprotocol)) ? ["Sec-WebSocket-Protocol": relaySubprotocol] : nil
        case linkPath:
            let offered = head.headers[canonicalForm: "Sec-WebSocket-Protocol"]
            return offered.contains(Substring(linkSubprotocol)) ? ["Sec-WebSocket-Protocol": linkSubprotocol] : nil
        case socketIOPath:
            let query = head.uri.dropFirst(socketIOPath.utf8.count + 1).split(separator: "&")
            return query.contains("EIO=4") && query.contains("transport=websocket") ? [:] : nil
        default: return nil
        }
    }

    /// 16 bytes in base64 are 22 digits and two characters of padding.
    private static func isKey(_ keys: [String]) -> Bool {
        guard keys.count == 1, let key = keys.first, key.utf8.count == 24, key.hasSuffix("==") else { return false }
        return key.utf8.dropLast(2).allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "/"):
                true
            default: false
            }
        }
    }
}

extension HTTPRequestHead {
    fileprivate var path: String { String(uri.prefix { $0 != "?" }) }
}
