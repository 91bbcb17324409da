public import NIOCore
import NIOTLS

/// An outbound user event that closes a connection at once, without a close_notify that the peer would have to read
/// first. Pending writes are dropped.
public struct ImmediateClose: Sendable {
    public init() {}
}

/// Implements TLS in a channel's pipeline with libssl. Its neighbours see the same behaviour as with swift-nio-ssl's
/// handler.
///
/// Starts the handshake when the channel is active, holds writes until it is complete, fires
/// `TLSUserEvent.handshakeCompleted`, and turns the peer's close_notify into `ChannelEvent.inputClosed`. The end of the
/// stream inside a handshake is an error. Writes between two flushes are encrypted into full records and sent in one
/// write.
public final class TLSHandler: ChannelDuplexHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    /// The result of a handshake, for metrics.
    public enum Outcome: Sendable { case full, resumed, failed(TLSError) }

    private enum State {
        case idle, handshaking, active
        /// Our close_notify is sent. The peer may still send data.
        case outputClosed
        /// Our close_notify is sent.
        case closing
        case closed

        /// Whether received data is still passed to the next handler.
        var delivers: Bool {
            switch self {
            case .active, .outputClosed: true
            case .idle, .handshaking, .closing, .closed: false
            }
        }
    }

    private let connection: TLSConnection
    private let isServer: Bool
    private let onHandshake: (@Sendable (Outcome) -> Void)?
    private var state = State.idle
    private var writes = MarkedCircularBuffer<(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)>(initialCapacity: 0)
    private var heldBytes = 0
    private var timer: Scheduled<Void>?
    private var closePromise: EventLoopPromise<Void>?
    private var isWaitingForCloseNotify = false
    /// The number of records sent in a row only because the peer asked for them.
    private var unaskedAnswers = 0
    /// The peer's close_notify was received.
    private var inputClosed = false

    /// - Throws: ``TLSError`` if memory allocation fails.
    public static func server(
        _ context: TLSContext, onHandshake: (@Sendable (Outcome) -> Void)? = nil
    ) throws(TLSError) -> TLSHandler {
        TLSHandler(try TLSConnection(context: context, isServer: true, serverName: nil), isServer: true, onHandshake)
    }

    /// - Parameter serverName: the name or address that the certificate must contain.
    /// - Throws: ``TLSError``.
    public static func client(_ context: TLSContext, serverName: String) throws(TLSError) -> TLSHandler {
        TLSHandler(try TLSConnection(context: context, isServer: false, serverName: serverName), isServer: false, nil)
    }

    private init(_ connection: TLSConnection, isServer: Bool, _ onHandshake: (@Sendable (Outcome) -> Void)?) {
        self.connection = connection
        self.isServer = isServer
        self.onHandshake = onHandshake
    }

    /// SHA-256 of the public key that the peer has proved to have. Nil before the handshake is complete, and if the
    /// peer sent no certificate.
    public var peerKey: Fingerprint? {
        if case .handshaking = state { return nil }
        return connection.peerKey
    }

    // MARK: Moving

    /// An established connection that moves from one event loop to another.
    ///
    /// `@unchecked`: only ``detach()`` creates one, and its handler never uses the connection again. The new handler is
    /// its only owner.
    public struct Session: @unchecked Sendable {
        fileprivate let connection: TLSConnection
        fileprivate let isServer: Bool
    }

    /// Takes the connection out of this handler. Afterwards the handler drops reads, fails writes, sends no
    /// close_notify and forwards `close`. Do not call this inside a read.
    /// - Returns: nil if the connection is not established, is closing, or has something left to send.
    public func detach() -> Session? {
        guard case .active = state, !inputClosed, writes.isEmpty else { return nil }
        finish(ChannelError.ioOnClosedChannel)
        return Session(connection: connection, isServer: isServer)
    }

    /// Continues a connection that was detached with ``detach()``. A session can be used for one handler.
    public static func continuing(_ session: Session) -> TLSHandler {
        let handler = TLSHandler(session.connection, isServer: session.isServer, nil)
        handler.state = .active
        return handler
    }

    // MARK: Life

    public func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    public func handlerRemoved(context: ChannelHandlerContext) { finish(ChannelError.ioOnClosedChannel) }

    public func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    public func channelInactive(context: ChannelHandlerContext) {
        switch state {
        case .handshaking: fail(context, TLSError(.handshakeFailed, "the connection ended during the TLS handshake"))
        case .active where !inputClosed:
            context.fireErrorCaught(TLSError(.truncated, "the connection closed without a TLS close_notify"))
        case .idle, .active, .outputClosed, .closing, .closed: break
        }
        finish(ChannelError.eof)
        context.fireChannelInactive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard case .idle = state else { return }
        state = .handshaking
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TLSLimits.handshakeDeadline) {
            let (handler, context) = bound.value
            guard case .handshaking = handler.state else { return }
            handler.fail(
                context,
                TLSError(
                    .handshakeTimeout,
                    "no TLS handshake within \(TLSLimits.handshakeDeadline.nanoseconds / 1_000_000_000) s"))
        }
        if !isServer { advance(context) }
    }

    private func finish(_ error: any Error) {
        timer?.cancel()
        timer = nil
        state = .closed
        closePromise?.succeed()
        closePromise = nil
        while let write = writes.popFirst() { write.promise?.fail(error) }
    }

    // MARK: In

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Drop bytes after close_notify.
        if inputClosed { return }
        switch state {
        case .handshaking:
            connection.receive(unwrapInboundIn(data))
            advance(context)
        case .active, .outputClosed, .closing:
            connection.receive(unwrapInboundIn(data))
            decrypt(context)
        case .idle, .closed: break
        }
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case ChannelEvent.inputClosed = event else { return context.fireUserInboundEventTriggered(event) }
        switch state {
        case .handshaking:
            fail(context, TLSError(.handshakeFailed, "the peer closed the connection during the TLS handshake"))
        // TCP ended without close_notify: no more data can arrive, and the peer does not wait for our close_notify.
        case .active where !inputClosed:
            context.fireErrorCaught(TLSError(.truncated, "the connection closed without a TLS close_notify"))
            context.close(promise: nil)
        case .outputClosed, .closing: context.close(promise: nil)
        case .idle, .active, .closed: break
        }
    }

    private func advance(_ context: ChannelHandlerContext) {
        switch connection.handshake() {
        case .wantsMore: sendCiphertext(context)
        case .failed(let error): fail(context, error)
        case .closed: fail(context, TLSError(.handshakeFailed, "the peer aborted the TLS handshake"))
        case .done:
            timer?.cancel()
            state = .active
            sendCiphertext(context)
            onHandshake?(connection.isResumed ? .resumed : .full)
            context.fireUserInboundEventTriggered(
                TLSUserEvent.handshakeCompleted(negotiatedProtocol: connection.negotiatedProtocol))
            seal(context)
            decrypt(context)
        }
    }

    private func decrypt(_ context: ChannelHandlerContext) {
        let (plaintext, progress) = connection.read()
        // A key update may need a response. A peer that sends only key updates wastes our time and memory.
        let answered = sendCiphertext(context)
        unaskedAnswers = plaintext == nil && answered ? unaskedAnswers + 1 : 0
        if unaskedAnswers > TLSLimits.unaskedAnswers {
            return fail(context, TLSError(.overflow, "the peer updates its keys too often"))
        }
        if let plaintext, state.delivers { context.fireChannelRead(wrapInboundOut(plaintext)) }
        switch progress {
        case .done, .wantsMore: break
        case .closed: receivedCloseNotify(context)
        case .failed(let error): if state.delivers { fail(context, error) } else { context.close(promise: nil) }
        }
    }

    private func receivedCloseNotify(_ context: ChannelHandlerContext) {
        switch state {
        case .outputClosed, .closing:
            inputClosed = true
            context.close(promise: nil)
        case .active where !inputClosed:
            inputClosed = true
            // Closes one half if the channel allows it, as with a TCP FIN. Otherwise closes the connection.
            let halfClosure = (try? context.channel.syncOptions?.getOption(.allowRemoteHalfClosure)) ?? false
            if halfClosure {
                context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
            } else {
                close(context: context, mode: .all, promise: nil)
            }
        case .idle, .handshaking, .active, .closed: break
        }
    }

    // MARK: Out

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = unwrapOutboundIn(data)
        switch state {
        case .outputClosed, .closing, .closed:
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        case .idle, .handshaking:
            heldBytes += bytes.readableBytes
            if heldBytes > TLSLimits.heldBytes {
                promise?.fail(TLSError(.overflow, "too much was written before the TLS handshake ended"))
                return fail(context, TLSError(.overflow, "too much was written before the TLS handshake ended"))
            }
        case .active: break
        }
        writes.append((bytes, promise))
    }

    public func flush(context: ChannelHandlerContext) {
        writes.mark()
        if case .active = state { seal(context) }
        context.flush()
    }

    /// Encrypts the flushed writes: long writes as they are, short ones combined into full records.
    private func seal(_ context: ChannelHandlerContext) {
        guard writes.hasMark else { return }
        var promises: [EventLoopPromise<Void>] = []
        var gathered = ByteBuffer()
        do throws(TLSError) {
            while writes.hasMark, let write = writes.popFirst() {
                if let promise = write.promise { promises.append(promise) }
                try append(write.bytes, to: &gathered, isLast: !writes.hasMark)
            }
            try gathered.withUnsafeReadableBytes { bytes throws(TLSError) in try connection.write(bytes) }
        } catch {
            promises.forEach { $0.fail(error) }
            return fail(context, error)
        }
        heldBytes = 0
        guard let ciphertext = connection.takeCiphertext() else { return promises.forEach { $0.succeed() } }
        context.writeAndFlush(wrapOutboundOut(ciphertext), promise: joined(promises, context))
    }

    private func append(_ bytes: ByteBuffer, to gathered: inout ByteBuffer, isLast: Bool) throws(TLSError) {
        var rest = bytes
        if gathered.readableBytes > 0 {
            let missing = TLSLimits.recordBytes - gathered.readableBytes
            if var fill = rest.readSlice(length: min(rest.readableBytes, missing)) { gathered.writeBuffer(&fill) }
            guard gathered.readableBytes == TLSLimits.recordBytes else { return }
            try gathered.withUnsafeReadableBytes { bytes throws(TLSError) in try connection.write(bytes) }
            gathered.clear()
        }
        // Whole records and a last write are encrypted without a copy.
        let direct = isLast ? rest.readableBytes : rest.readableBytes / TLSLimits.recordBytes * TLSLimits.recordBytes
        if direct > 0, let whole = rest.readSlice(length: direct) {
            try whole.withUnsafeReadableBytes { bytes throws(TLSError) in try connection.write(bytes) }
        }
        if rest.readableBytes > 0 {
            if gathered.capacity == 0 { gathered.reserveCapacity(TLSLimits.recordBytes) }
            gathered.writeBuffer(&rest)
        }
    }

    private func joined(
        _ promises: [EventLoopPromise<Void>], _ context: ChannelHandlerContext
    ) -> EventLoopPromise<Void>? {
        guard promises.count > 1 else { return promises.first }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { result in promises.forEach { $0.completeWith(result) } }
        return promise
    }

    /// - Returns: whether there was any ciphertext.
    @discardableResult
    private func sendCiphertext(_ context: ChannelHandlerContext) -> Bool {
        guard let ciphertext = connection.takeCiphertext() else { return false }
        context.writeAndFlush(wrapOutboundOut(ciphertext), promise: nil)
        return true
    }

    // MARK: The end

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch (state, mode) {
        case (.active, .output):
            sendCloseNotify(context, then: .outputClosed)
            context.close(mode: .output, promise: promise)
        case (.active, .all):
            sendCloseNotify(context, then: .closing)
            waitForCloseNotify(context, promise)
        case (.outputClosed, .all):
            state = .closing
            waitForCloseNotify(context, promise)
        case (.closing, .all): waitForCloseNotify(context, promise)
        case (.idle, _), (.handshaking, _), (.closed, _), (_, .input): context.close(mode: mode, promise: promise)
        case (.outputClosed, .output), (.closing, .output): promise?.succeed()
        }
    }

    public func triggerUserOutboundEvent(
        context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
    ) {
        guard event is ImmediateClose else { return context.triggerUserOutboundEvent(event, promise: promise) }
        finish(ChannelError.ioOnClosedChannel)
        context.close(promise: promise)
    }

    private func sendCloseNotify(_ context: ChannelHandlerContext, then next: State) {
        writes.mark()
        seal(context)
        guard case .active = state else { return }
        state = next
        connection.sendCloseNotify()
        sendCiphertext(context)
    }

    /// If the socket is closed at once with unread bytes, TCP discards what the peer has not read yet.
    private func waitForCloseNotify(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        if case .closed = state { return context.close(promise: promise) }
        if inputClosed { return context.close(promise: promise) }
        if let closePromise {
            closePromise.futureResult.cascade(to: promise)
        } else {
            closePromise = promise ?? context.eventLoop.makePromise()
        }
        guard !isWaitingForCloseNotify else { return }
        isWaitingForCloseNotify = true
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TLSLimits.closeNotifyTimeout) { bound.value.close(promise: nil) }
    }

    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        if case .closed = state { return }
        let wasHandshaking = if case .handshaking = state { true } else { false }
        // The alert that OpenSSL has written tells the peer the reason.
        sendCiphertext(context)
        if error.code == .plainHTTP {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: Self.plainHTTPAnswer)), promise: nil)
        }
        if wasHandshaking { onHandshake?(.failed(error)) }
        finish(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private static let plainHTTPAnswer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 41\r\n\r\n"
        + "This port speaks TLS; write https://HOST\n"
}
