import Limits
import NIOCore
import NIOHTTP1
import NIOWebSocket
public import Relay
import Sockets
import Wire

/// WebSocket upgrades to the relay, on its own path and on Socket.IO's.
struct RelayUpgrade: UpgradeProtocol {
    let name = RelayUpgrader.name
    let relay: RelayServer
    /// Proxies whose X-Forwarded-For is trusted.
    let proxies: TrustedProxies

    func upgrader(
        for connection: ConnectionTransfer
    ) -> any NIOTypedHTTPServerProtocolUpgrader<ConnectionOutcome> {
        RelayUpgrader(relay: relay, proxies: proxies, transport: connection)
    }
}

/// The relay's rooms take connections to their own event loops.
extension ConnectionTransfer: PeerTransport {}

/// Turns a request into a peer of the relay. NIO's upgrader checks the request and answers it (RFC 6455, section 4.2); from then
/// on the relay's own framing reads the socket.
private struct RelayUpgrader: NIOTypedHTTPServerProtocolUpgrader {
    typealias UpgradeResult = ConnectionOutcome

    /// Where Socket.IO clients come.
    static let socketIOPath = "/socket.io/"

    /// As `Upgrade` names it.
    static let name = "websocket"

    let supportedProtocol = name
    let requiredUpgradeHeaders: [String] = []
    private let relay: RelayServer
    private let proxies: TrustedProxies
    private let transport: any PeerTransport
    private let handshake: NIOTypedWebSocketServerUpgrader<ConnectionOutcome>

    /// - Parameters:
    ///   - proxies: whose word about the peer's address is taken.
    ///   - transport: takes the connection to its room.
    init(relay: RelayServer, proxies: TrustedProxies, transport: any PeerTransport) {
        self.relay = relay
        self.proxies = proxies
        self.transport = transport
        handshake = NIOTypedWebSocketServerUpgrader(
            shouldUpgrade: { channel, head in
                channel.eventLoop.makeSucceededFuture(Self.headers(head))
            },
            // Never called: `upgrade` below is ours.
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
            let isSocketIO = upgradeRequest.path != relayPath
            // A host sends much more than requests are long.
            try channel.syncOptions?.setOption(.recvAllocator, value: ConnectionTransfer.receiveAllocator)
            let client = proxies.client(
                channel.remoteAddress?.ipAddress, upgradeRequest.headers["X-Forwarded-For"])
            try relay.addPeer(to: channel, address: client.key, isSocketIO: isSocketIO, transport: transport)
            return .taken
        }
    }

    /// - Returns: nil where this is no upgrade of ours.
    private static func headers(_ head: HTTPRequestHead) -> HTTPHeaders? {
        // RFC 6455, section 4.2.1: GET, and a key of 16 bytes.
        guard head.method == .GET, isKey(head.headers["Sec-WebSocket-Key"]) else { return nil }
        switch head.path {
        case relayPath:
            let offered = head.headers[canonicalForm: "Sec-WebSocket-Protocol"]
            // A client that names protocols must name ours (RFC 6455, section 4.1).
            if offered.isEmpty { return [:] }
            return offered.contains(Substring(relaySubprotocol)) ? ["Sec-WebSocket-Protocol": relaySubprotocol] : nil
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
