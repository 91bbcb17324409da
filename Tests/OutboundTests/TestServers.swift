import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TransportSecurity

/// A server of NIO's own parts on loopback or a socket file; counts its connections.
final class TestServer: Sendable {
    let channel: any Channel
    private let accepted: Counted

    final class Counted: Sendable {
        let count = Atomic(0)
        let open = Mutex<[any Channel]>([])
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    var connections: Int { accepted.count.load(ordering: .relaxed) }

    /// Closes every open connection, as a server does with idle ones.
    func hangUp() async throws {
        let channels = accepted.open.withLock { $0 }
        for channel in channels { _ = try? await channel.close().get() }
    }

    /// - Parameters:
    ///   - path: of a socket file; nil listens on loopback.
    ///   - handler: is added behind HTTP's, where `isHTTP`.
    init(
        path: String? = nil, isHTTP: Bool = true, tls: TLSContext? = nil,
        handler: @escaping @Sendable () -> any ChannelHandler & Sendable
    ) async throws {
        let accepted = Counted()
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                accepted.count.add(1, ordering: .relaxed)
                accepted.open.withLock { $0.append(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(TLSHandler.server(tls)) }
                    if isHTTP { try channel.pipeline.syncOperations.configureHTTPServerPipeline() }
                    try channel.pipeline.syncOperations.addHandler(handler())
                }
            }
        channel =
            if let path { try await bootstrap.bind(unixDomainSocketPath: path).get() } else {
                try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
            }
        self.accepted = accepted
    }

    func stop() async throws { try await channel.close() }
}

/// Answers each request with its method, path and body; `/stream?N` with N parts of 16 KiB; `/silent` not at all.
final class EchoHandler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// Parts of `/stream` that were written, over all connections.
    final class Written: Sendable {
        let parts = Atomic(0)
    }

    private let written: Written

    init(_ written: Written = Written()) { self.written = written }

    // Used on its channel's event loop only.
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    private var left = 0
    private var isWriting = false
    private static let part = ByteBuffer(repeating: 7, count: 16 << 10)

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body.clear()
            if head.uri == "/early" {
                answer(context, "no")
            }
        case .body(let bytes):
            if head?.uri != "/count" { body.writeImmutableBuffer(bytes) } else { left += bytes.readableBytes }
        case .end: end(context)
        }
    }

    private func end(_ context: ChannelHandlerContext) {
        guard let head else { return }
        switch head.uri {
        case "/early", "/silent": break
        case "/count":
            answer(context, "\(left)")
            left = 0
        case let uri where uri.hasPrefix("/stream?"):
            left = Int(uri.dropFirst("/stream?".count)) ?? 0
            context.write(wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok))), promise: nil)
            write(context)
        default:
            answer(context, "\(head.method) \(head.uri) \(head.headers["Host"].first ?? "-") \(String(buffer: body))")
        }
    }

    private func answer(_ context: ChannelHandlerContext, _ text: String) {
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Content-Length": "\(text.utf8.count)"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if head?.uri.hasPrefix("/stream?") == true { write(context) }
    }

    /// As fast as the client reads.
    private func write(_ context: ChannelHandlerContext) {
        guard !isWriting else { return }
        isWriting = true
        while left > 0, context.channel.isWritable {
            left -= 1
            written.parts.add(1, ordering: .relaxed)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(Self.part))), promise: nil)
            if left == 0 { context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil) }
        }
        isWriting = false
    }
}
