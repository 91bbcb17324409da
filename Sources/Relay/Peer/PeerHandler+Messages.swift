import NIOCore
import Telemetry
import WebSocket
import Wire

/// Messages from and to a peer.
extension PeerHandler {
    func receive(_ message: WebSocketMessage, _ context: ChannelHandlerContext) {
        switch message.kind {
        case .binary, .text: receive(message)
        case .ping:
            // Not while the socket is full: pongs for a peer that does not read would pile up.
            if case .closing = state { return }
            if context.channel.isWritable { write(FramedMessage.control(.pong, message.payload).bytes) }
        case .pong: break
        case .close: peerCloses(WebSocketClose(message.payload), context)
        }
    }

    private func receive(_ message: WebSocketMessage) {
        if case .joining = state { return hold(message) }
        // A new message must not overtake those that are held.
        if held.isEmpty { process(message) } else { hold(message) }
    }

    private func hold(_ message: WebSocketMessage) {
        let bytes = held.reduce(message.payload.readableBytes) { $0 + $1.payload.readableBytes }
        guard held.count < RelayConfiguration.messagesWhileJoining, bytes <= RelayConfiguration.bytesWhileJoining else {
            return close(code: CloseCode.badMessage, reason: "wait for the response to the join")
        }
        held.append(message)
    }

    /// Processes the held messages, now that the join is answered. Deferred, because the room must first announce the
    /// new peer.
    func release() {
        guard !held.isEmpty, let loop = context?.eventLoop else { return }
        loop.assumeIsolated().execute {
            while !self.held.isEmpty {
                // One of them may have been another join.
                if case .joining = self.state { break }
                self.process(self.held.removeFirst())
            }
            self.readComplete()
        }
    }

    private func process(_ message: WebSocketMessage) {
        switch state {
        case .closing, .moved, .joining: return
        case .seated(let seat) where message.kind == .binary && dialect != .socketIO:
            hasDelivered = true
            seat.room.receive(message.payload, from: seat.slot, attachment: seat.attachment)
        case .new, .seated:
            guard message.kind == .text else {
                let reason =
                    door == nil ? "join before you send frames" : "send strings: binary packets are not supported"
                return close(code: CloseCode.badMessage, reason: reason)
            }
            receiveText(message.payload)
        }
    }

    private func receiveText(_ text: ByteBuffer) {
        do {
            guard door != nil else {
                let (message, id) = try ClientMessage.parse(text)
                return handle(message, ack: id)
            }
            switch try door?.receive(text) {
            case .send(let text): answer(SocketIOPacket.text(text).bytes)
            case .message(let message, let ack): handle(message, ack: ack)
            case .refuse(let ack, let reason): say(.ack(ack, error: reason))
            case .leave:
                hasLeftDeliberately = true
                close(code: CloseCode.normal, reason: "goodbye")
            case nil: break
            }
        } catch {
            close(code: CloseCode.badMessage, reason: error.description)
        }
    }

    private func handle(_ message: ClientMessage, ack: MessageId?) {
        switch state {
        case .new: begin(message, ack: ack)
        case .seated(let seat): seat.room.receive(message, ack: ack, from: seat.slot, attachment: seat.attachment)
        case .joining, .moved, .closing: break
        }
    }

    // MARK: Outbound messages

    /// - Returns: whether the message counts as delivered. If the peer misses it later, it is subtracted from the
    ///   room's count.
    @discardableResult
    func deliver(_ bytes: ByteBuffer, _ kind: PeerOutbox.Kind) -> Bool {
        guard let context else { return false }
        if case .closing = state { return false }
        let isTaken: Bool
        let waiting = outbox.queuedBytes
        switch outbox.offer(bytes, kind, socketTakesMore: context.channel.isWritable, capacity: relay.outboxCapacity) {
        case .send:
            isTaken = true
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        case .queued: isTaken = true
        case .dropped: isTaken = false
        case .fellBehind:
            isTaken = true
            if case .seated(let seat) = state {
                seat.room.uncount(waiting + bytes.readableBytes - outbox.queuedBytes)
            }
            relay.metrics.slowConsumers.add()
            warnOfGap()
        case .overflowed:
            isTaken = false
            close(code: CloseCode.tooSlow, reason: "you receive more slowly than the session sends")
        }
        countQueue(outbox.queuedBytes)
        return isTaken
    }

    /// Updates the server's count of queued bytes.
    func countQueue(_ bytes: Int) {
        if bytes != countedBytes { relay.metrics.queueBytes.add(bytes - countedBytes) }
        countedBytes = bytes
    }

    /// Called when frames are lost that nobody can send again.
    func fellBehind() {
        outbox.awaitSnapshot()
        warnOfGap()
    }

    private func warnOfGap() {
        let warning = ServerMessage.warning(
            code: "slow_consumer",
            "You receive more slowly than the host sends; output was skipped. Ask the host for a snapshot.")
        if let framed = dialect.framed(warning) { deliver(framed.bytes, .control) }
    }

    /// Sends a message that does not come from a room.
    func say(_ message: ServerMessage) {
        if let framed = dialect.framed(message) { answer(framed.bytes) }
    }

    /// Answers are sent no faster than the peer reads them. Otherwise they would accumulate here.
    private func answer(_ bytes: ByteBuffer) {
        switch state {
        case .closing, .moved: break
        case .seated: deliver(bytes, .control)
        case .new, .joining:
            guard context?.channel.isWritable == true else {
                return close(code: CloseCode.tooSlow, reason: "you send requests faster than you read the responses")
            }
            write(bytes)
        }
    }

    func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
}
