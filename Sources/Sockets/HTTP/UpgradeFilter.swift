import NIOCore
import NIOHTTP1

/// Takes the wish for a protocol that is not spoken here out of a first request (curl asks for `h2c` by itself): it is answered as if
/// nobody had asked (RFC 9110, section 7.8). The library would wait for ever with it.
final class UpgradeFilter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let spoken: Set<String>
    private var isDone = false

    init(spoken: Set<String>) { self.spoken = spoken }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Behind the first request there may be bytes of another protocol, which are none of these parts.
        if isDone { return context.fireChannelRead(data) }
        isDone = true
        guard case .head(var head) = unwrapInboundIn(data), Self.asksForAnother(head, than: spoken) else {
            return context.fireChannelRead(data)
        }
        // Its parser takes what follows for that protocol and reads none of it: this request is the last.
        head.headers.remove(name: "Upgrade")
        head.headers.replaceOrAdd(name: "Connection", value: "close")
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private static func asksForAnother(_ head: HTTPRequestHead, than names: Set<String>) -> Bool {
        let asked = head.headers[canonicalForm: "Upgrade"]
        return !asked.isEmpty && !asked.contains { names.contains($0.lowercased()) }
    }
}
