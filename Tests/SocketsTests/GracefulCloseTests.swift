import NIOCore
import NIOEmbedded
import Testing

@testable import Sockets

@Suite struct GracefulCloseTests {
    /// A socket that is full: its half is closed only when somebody says that everything has left.
    private final class FullSocket: ChannelOutboundHandler {
        typealias OutboundIn = Never
        var closing: EventLoopPromise<Void>?
        private(set) var isClosed = false

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { return closing = promise }
            isClosed = true
            context.close(mode: mode, promise: promise)
        }
    }

    private func farewell() throws -> (EmbeddedChannel, FullSocket) {
        let socket = FullSocket()
        let channel = EmbeddedChannel(handler: socket)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        final class Speaker: ChannelInboundHandler { typealias InboundIn = Never }
        let speaker = Speaker()
        try channel.pipeline.syncOperations.addHandler(speaker)
        try channel.pipeline.syncOperations.context(handler: speaker).closeGracefully()
        return (channel, socket)
    }

    @Test func theLastAnswerIsNotCutWhileItLeavesSlowly() throws {
        let (channel, socket) = try farewell()
        channel.embeddedEventLoop.advanceTime(by: ConnectionLimits.gracefulClose * 3)
        #expect(!socket.isClosed)
        socket.closing?.succeed()
        channel.embeddedEventLoop.run()
        #expect(!socket.isClosed, "the peer has yet to read it")
        channel.embeddedEventLoop.advanceTime(by: ConnectionLimits.gracefulClose)
        #expect(socket.isClosed)
    }

    @Test func whoDoesNotTakeTheLastAnswerIsNotWaitedForForEver() throws {
        let (channel, socket) = try farewell()
        channel.embeddedEventLoop.advanceTime(by: ConnectionLimits.stalledAnswer)
        #expect(socket.isClosed)
        socket.closing?.succeed()
        channel.embeddedEventLoop.run()
    }
}
