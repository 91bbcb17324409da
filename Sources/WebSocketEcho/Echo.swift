import Glibc
import NIOCore
import NIOPosix

/// An endpoint for conformance tests: sends every message back. It reads and answers by the same parts as the relay's peers
/// do (``WebSocketReader``, ``WebSocketClose``), so that what a test suite says of it holds for them.
@main
struct Echo {
    static func main() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try EchoUpgrader.add(to: channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        // Not `print`: in a pipe it would keep the line until the end.
        let line = Array("\(server.localAddress?.port ?? 0)\n".utf8)
        _ = write(1, line, line.count)
        try await server.closeFuture.get()
    }
}
