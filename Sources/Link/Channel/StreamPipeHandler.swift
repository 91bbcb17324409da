import Glibc
public import NIOCore

/// Joins a socket with a stream of a link: bytes both ways, each way ended by itself, each side as fast as the other takes them.
///
/// It is the last handler of the socket's pipeline, and the stream's owner. Both are on one event loop.
public final class StreamPipeHandler: ChannelDuplexHandler, LinkStreamOwner {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Why a pipe ended.
    public enum End: Sendable, Equatable {
        case finished
        /// The other side of the link does not take the stream.
        case rejected(LinkRejection)
        case reset(ResetCode)
        /// The socket broke.
        case broken
    }

    private let link: LinkHandler
    private let stream: LinkStream
    /// Bytes that count for the owner: those from the socket, and those to it.
    private let onBytes: ((_ fromSocket: Int, _ toSocket: Int) -> Void)?
    private var onEnd: ((End) -> Void)?
    private var context: ChannelHandlerContext?
    private var isReadHeld = false
    /// Writes to the socket that have not left.
    private var pendingWrites = 0
    /// What waits for them.
    private var held = ByteBuffer()
    private var streamIsFinished = false
    private var outputIsFinished = false
    private var inputIsFinished = false

    /// - Parameters:
    ///   - onBytes: what has passed, as it passes.
    ///   - onEnd: called once.
    public init(
        link: LinkHandler, stream: LinkStream, onBytes: ((_ fromSocket: Int, _ toSocket: Int) -> Void)? = nil,
        onEnd: ((End) -> Void)? = nil
    ) {
        self.link = link
        self.stream = stream
        self.onBytes = onBytes
        self.onEnd = onEnd
        stream.owner = self
    }

    public func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    // MARK: Socket to stream

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        onBytes?(bytes.readableBytes, 0)
        link.write(stream, bytes)
    }

    /// While the stream is full, the socket is not read, so that its sender waits.
    public func read(context: ChannelHandlerContext) {
        if stream.isWritable { context.read() } else { isReadHeld = true }
    }

    public func streamWritable() {
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return context.fireUserInboundEventTriggered(event) }
        inputIsFinished = true
        link.finish(stream)
        endIfDone()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        give(up: .broken, .broken)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        // Where our side has ended, the end of the other's closes the socket without another word. A broken one is an error before.
        if outputIsFinished && !inputIsFinished {
            inputIsFinished = true
            link.finish(stream)
        }
        give(up: .broken, .broken)
        self.context = nil
        context.fireChannelInactive()
    }

    // MARK: Stream to socket

    public func streamAccepted() {}

    public func streamReceived(_ bytes: ByteBuffer) {
        guard context != nil else { return link.consume(stream, bytes.readableBytes) }
        onBytes?(0, bytes.readableBytes)
        // Each write costs more than a short piece: where the socket does not keep up, pieces are joined.
        if pendingWrites >= Self.writesAtOnce { held.writeImmutableBuffer(bytes) } else { write(bytes) }
    }

    private func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        let count = bytes.readableBytes
        pendingWrites += 1
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { result in
            self.pendingWrites -= 1
            // What has failed is the end of the socket, which says so itself.
            guard case .success = result else { return }
            self.link.consume(self.stream, count)
            self.writeHeld()
            self.endOutputWhenFlushed()
        }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: promise)
    }

    private func writeHeld() {
        guard held.readableBytes > 0 else { return }
        let bytes = held
        held = ByteBuffer()
        write(bytes)
    }

    /// Writes to the socket that are under way at once.
    private static let writesAtOnce = 32

    public func streamFinished() {
        streamIsFinished = true
        endOutputWhenFlushed()
    }

    /// Not before everything has left: where the input has ended, closing the output closes the socket with what is still waiting.
    private func endOutputWhenFlushed() {
        guard streamIsFinished, !outputIsFinished, pendingWrites == 0, held.readableBytes == 0, let context else {
            return
        }
        outputIsFinished = true
        if inputIsFinished { endIfDone() } else { context.close(mode: .output, promise: nil) }
    }

    public func streamRejected(_ reason: LinkRejection) { close(.rejected(reason)) }

    public func streamReset(_ code: ResetCode) {
        close(.reset(code))
    }

    private func endIfDone() {
        guard inputIsFinished && outputIsFinished else { return }
        close(.finished)
    }

    /// Ends the stream where the socket has broken.
    private func give(up code: ResetCode, _ end: End) {
        guard onEnd != nil || !stream.isClosed else { return }
        if !(inputIsFinished && outputIsFinished) { link.reset(stream, code) }
        close(end)
    }

    private func close(_ end: End) {
        let tell = onEnd
        onEnd = nil
        tell?(end)
        guard let context else { return }
        if end != .finished {
            // Something is missing: the socket's end must not look like a good one.
            context.channel.resetsWhenClosed()
        }
        context.close(promise: nil)
    }
}

extension Channel {
    /// From now on closing the socket sends RST instead of FIN, and drops what was not sent: what came before cannot look whole.
    public func resetsWhenClosed() {
        _ = (self as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }
}
