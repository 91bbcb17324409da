import NIOCore
import NIOHTTP1

/// Removes an upgrade to an unsupported protocol from a first request (curl asks for `h2c` by default). The request is
/// answered as if it had no upgrade (RFC 9110, section 7.8). Otherwise the library would wait without limit.
final class UpgradeFilter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let spoken: Set<String>
    private var isDone = false

    init(spoken: Set<String>) { self.spoken = spoken }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // After the first request there may be bytes of another protocol. They are none of these parts.
        if isDone { return context.fireChannelRead(data) }
        isDone = true
        guard case .head(var head) = unwrapInboundIn(data), Self.asksForAnother(head, than: spoken) else {
            return context.fireChannelRead(data)
        }
        // The parser takes the following bytes for that protocol and reads none of them: this request is the last.
        head.headers.remove(name: "Upgrade")
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private static func asksForAnother(_ head: HTTPRequestHead, than names: Set<String>) -> Bool {
        let asked = head.headers[canonicalForm: "Upgrade"]
        return !asked.isEmpty && !asked.contains { names.contains($0.lowercased()) }
    }
}
