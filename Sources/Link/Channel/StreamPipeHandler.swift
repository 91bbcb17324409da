import Glibc
public import NIOCore

/// Connects a socket with a stream of a link. Bytes go both ways, each direction ends separately, and each side sends
/// only as fast as the other reads.
///
/// This is the last handler of the socket's pipeline and the stream's owner. Both are on one event loop.
public final class StreamPipeHandler: ChannelDuplexHandler, LinkStreamOwner {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// Why a pipe ended.
    public enum End: Sendable, Equatable {
        case finished
        /// The peer of the link rejected the stream.
        case rejected(LinkRejection)
        case reset(ResetCode)
        /// The socket failed.
        case broken
    }

    private let link: LinkHandler
    private let stream: LinkStream
    /// Called with the bytes to count for the owner: those from the socket, and those to it.
    private let onBytes: ((_ fromSocket: Int, _ toSocket: Int) -> Void)?
    private var onEnd: ((End) -> Void)?
    private var context: ChannelHandlerContext?
    private var isReadHeld = false
    /// Writes to the socket that have not completed.
    private var pendingWrites = 0
    /// Bytes that wait for those writes.
    private var held = ByteBuffer()
    private var streamIsFinished = false
    private var outputIsFinished = false
    private var inputIsFinished = false

    /// - Parameters:
    ///   - onBytes: called with the number of bytes as they pass.
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
        // If our side has ended, the end of the peer's closes the socket without a separate event. A failed socket
        // reports an error first.
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
        // Each write has a fixed cost, so short pieces are joined while the socket does not keep up.
        if pendingWrites >= Self.writesAtOnce { held.writeImmutableBuffer(bytes) } else { write(bytes) }
    }

    private func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        let count = bytes.readableBytes
        pendingWrites += 1
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { result in
            self.pendingWrites -= 1
            // A failed write means that the socket has ended, which is reported separately.
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

    /// Maximum number of pending writes to the socket.
    private static let writesAtOnce = 32

    public func streamFinished() {
        streamIsFinished = true
        endOutputWhenFlushed()
    }

    /// Waits until everything is written: once the input has ended, closing the output closes the socket and drops what
    /// is still queued.
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

    /// Ends the stream because the socket failed.
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
            // Some data is missing, so the socket must not appear to end normally.
            context.channel.resetsWhenClosed()
        }
        context.close(promise: nil)
    }
}

extension Channel {
    /// From now on, closing the socket sends RST instead of FIN and drops unsent data, so that the data sent so far
    /// cannot be mistaken for complete.
    public func resetsWhenClosed() {
        _ = (self as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
    }
}
