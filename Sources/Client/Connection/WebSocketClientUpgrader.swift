import NIOCore
import NIOHTTP1
import NIOWebSocket

/// NIO performs the handshake (RFC 6455, section 4.1). After that, our own code handles the framing.
struct WebSocketClientUpgrader: NIOTypedHTTPClientProtocolUpgrader {
    let supportedProtocol = "websocket"
    let requiredUpgradeHeaders: [String] = []
    private let addHandlers: @Sendable (any Channel) throws -> Void
    private let handshake = NIOTypedWebSocketClientUpgrader<Void>(
        // Never called: `upgrade` below replaces it.
        upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })

    init(addHandlers: @escaping @Sendable (any Channel) throws -> Void) { self.addHandlers = addHandlers }

    func addCustom(upgradeRequestHeaders: inout HTTPHeaders) {
        handshake.addCustom(upgradeRequestHeaders: &upgradeRequestHeaders)
    }

    func shouldAllowUpgrade(upgradeResponse: HTTPResponseHead) -> Bool {
        handshake.shouldAllowUpgrade(upgradeResponse: upgradeResponse)
    }

    func upgrade(channel: any Channel, upgradeResponse: HTTPResponseHead) -> EventLoopFuture<Void> {
        channel.eventLoop.makeCompletedFuture { try addHandlers(channel) }
    }
}
