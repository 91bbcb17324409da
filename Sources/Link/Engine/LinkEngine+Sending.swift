public import NIOCore
import Wire

extension LinkEngine {
    // MARK: Streams

    /// Opens a stream. Bytes may be written at once.
    /// - Throws: ``LinkRejection`` if the link cannot take another stream.
    public func open(_ open: LinkOpen, now: NIODeadline) throws(LinkRejection) -> LinkStream {
        guard isOpen, nextStream <= LinkLimits.lastStream else {
            throw LinkRejection(code: "away", message: "The connection to the machine is ending.")
        }
        guard streams.count - theirStreams < theirMaxStreams, reserveForNewStream(now: now) else {
            throw LinkRejection.busy
        }
        let stream = LinkStream(
            id: nextStream, open: open, phase: .opening, credit: LinkLimits.initialCredit, theirCredit: theirCredit,
            now: now)
        nextStream += 2
        streams[stream.id] = stream
        // Before the stream's bytes, and in the order of stream numbers.
        urgent.writeFrame(.open, stream: stream.id, JSONText.encode(open))
        return stream
    }

    /// Accepts a stream of the peer.
    public func accept(_ stream: LinkStream) {
        guard stream.phase != .closed, phase == .open else { return }
        LinkFrameHeader(.accept, stream: stream.id, length: 0).write(into: &urgent)
    }

    /// Rejects a stream of the peer that was not accepted. Bytes that arrive for it are dropped.
    public func reject(_ stream: LinkStream, _ reason: LinkRejection) {
        guard stream.phase != .closed, phase == .open else { return }
        urgent.writeFrame(.reject, stream: stream.id, JSONText.encode(reason))
        forget(stream)
    }

    /// Queues bytes to be sent in the stream's turn.
    /// - Returns: whether the writer may continue; otherwise ``LinkEvent/writable(_:)`` says when it may.
    @discardableResult
    public func write(_ stream: LinkStream, _ bytes: ByteBuffer) -> Bool {
        guard stream.phase != .closed, !stream.isFinishing, bytes.readableBytes > 0 else { return stream.isWritable }
        stream.queue.append(bytes)
        stream.queuedBytes += bytes.readableBytes
        if stream.queuedBytes >= LinkLimits.highWater { stream.isFull = true }
        schedule(stream)
        return !stream.isFull
    }

    /// Ends our direction of the stream: no more bytes follow.
    public func finish(_ stream: LinkStream) {
        guard stream.phase != .closed, !stream.isFinishing else { return }
        stream.isFinishing = true
        schedule(stream)
    }

    /// Aborts a stream in both directions at once.
    public func reset(_ stream: LinkStream, _ code: ResetCode) {
        guard stream.phase != .closed, phase == .open else { return }
        forget(stream)
        guard openResets.count < LinkLimits.openResets else {
            return fail(LinkError(.flood, "the other side does not answer resets"))
        }
        openResets.insert(stream.id)
        urgent.writeReset(stream.id, code)
    }

    /// Called when bytes were written to the far socket: their memory is free, and the sender may continue.
    public func consume(_ stream: LinkStream, _ bytes: Int, now: NIODeadline) {
        guard stream.phase != .closed, bytes > 0 else { return }
        let count = min(bytes, stream.unconsumedBytes)
        // What the window still needs is granted again at once: if it were released first, others could take it.
        let again = stream.finalOffset == nil ? min(count, max(0, stream.window - stream.outstanding + count)) : 0
        stream.consumed += UInt64(count)
        stream.granted += UInt64(again)
        stream.progressAt = now
        budget.release(count - again)
        if stream.finalOffset != nil { return acknowledgeFin(stream) }
        grow(stream, now)
        grant(stream, now)
    }

    /// A window that is used up in less than two round trips limits the stream, so it grows.
    private func grow(_ stream: LinkStream, _ now: NIODeadline) {
        guard stream.consumed - stream.measuredFrom >= UInt64(stream.window) else { return }
        let trip = max(roundTrip ?? .milliseconds(1), .milliseconds(1))
        if now - stream.measuredAt < trip * 2, stream.window < LinkLimits.windowBytes, !budget.isShort {
            stream.window = min(stream.window * 2, LinkLimits.windowBytes)
        }
        stream.measuredAt = now
        stream.measuredFrom = stream.consumed
    }

    /// Grants what the window allows, if it is worth a frame.
    func grant(_ stream: LinkStream, _ now: NIODeadline) {
        guard stream.finalOffset == nil else { return }
        // A window that has grown asks for more. If there is less memory, the stream continues with a smaller window.
        var wish = stream.window - stream.outstanding
        while wish > 0, !budget.reserve(wish) {
            wish = wish > LinkLimits.smallestGrant ? max(wish / 2, LinkLimits.smallestGrant) : 0
        }
        if wish > 0 { stream.granted += UInt64(wish) }
        if stream.outstanding == 0, !starved.contains(where: { $0 === stream }) {
            starved.append(stream)
            starvedAt = now
        }
        guard Int(stream.granted - min(stream.announced, stream.granted)) >= min(stream.window, stream.outstanding) / 2
        else { return }
        guard stream.granted > stream.announced else { return }
        creditIsDue(stream)
    }

    func acknowledgeFin(_ stream: LinkStream) {
        guard let final = stream.finalOffset, stream.consumed == final else { return }
        creditIsDue(stream)
    }

    private func creditIsDue(_ stream: LinkStream) {
        guard !stream.isCreditDue else { return }
        stream.isCreditDue = true
        creditDue.append(stream)
    }

    func forget(_ stream: LinkStream) {
        guard stream.phase != .closed else { return }
        stream.phase = .closed
        streams[stream.id] = nil
        if stream.finalOffset == nil { lateBytes += Int(stream.granted - stream.received) }
        if (stream.id & 1 == 1) == (configuration.side == .server) { theirStreams -= 1 }
        budget.release(stream.outstanding)
        stream.granted = stream.consumed
        stream.queue.removeAll()
        stream.queuedBytes = 0
        if dataStream === stream { dataStream = nil }
    }

    /// Reserves memory for a stream's first bytes. If there is none, stalled streams are reset, the largest first.
    func reserveForNewStream(now: NIODeadline) -> Bool {
        if budget.reserve(LinkLimits.initialCredit) { return true }
        let stalled = streams.values
            .filter { $0.unconsumedBytes > 0 && now - $0.progressAt > LinkLimits.stalledAfter }
            .sorted { ($0.outstanding, $0.id) > ($1.outstanding, $1.id) }
        for stream in stalled {
            reset(stream, .stalled)
            events.append(.reset(stream, .stalled))
            if budget.reserve(LinkLimits.initialCredit) { return true }
        }
        return false
    }

    // MARK: Calls

    /// Sends a call to the peer.
    /// - Parameter json: at most ``LinkLimits/callBytes``.
    /// - Returns: the call's number, which its answer carries; nil if too many calls are open.
    public func call(_ json: ByteBuffer) -> UInt32? {
        guard phase == .open, callsSent.count < LinkLimits.openCalls, json.readableBytes <= LinkLimits.callBytes else {
            return nil
        }
        defer { nextCall &+= 1 }
        callsSent.insert(nextCall)
        append(.call, nextCall, json)
        return nextCall
    }

    /// - Parameter json: at most ``LinkLimits/callBytes``; if it is longer, the peer gets an error as the answer.
    public func answer(_ call: UInt32, _ json: ByteBuffer) {
        let json =
            json.readableBytes <= LinkLimits.callBytes
            ? json
            : JSONText.encode(
                LinkAnswer(
                    error: ErrorResource(
                        statusCode: 500, message: "The response is too long.", code: "too_long")))
        guard phase == .open, callsReceived.contains(call), !callsAnswered.contains(call) else { return }
        callsAnswered.insert(call)
        append(.answer, call, json)
    }

    private func append(_ type: LinkFrameType, _ id: UInt32, _ json: ByteBuffer) {
        var frame = ByteBuffer()
        LinkFrameHeader(type, stream: 0, length: 4 + json.readableBytes).write(into: &frame)
        frame.writeInteger(id)
        frame.writeImmutableBuffer(json)
        calls.append(frame)
    }

    // MARK: Time

    /// The time at which ``tick(now:)`` must be called next.
    public var nextTick: NIODeadline {
        let liveness =
            if let pingSentAt { max(pingSentAt, heardAt) + LinkLimits.deadAfterPing } else {
                streams.isEmpty ? max(heardAt, lastPingAt) + LinkLimits.pingAfter : lastPingAt + LinkLimits.pingAfter
            }
        return starved.isEmpty ? liveness : min(liveness, starvedAt + LinkLimits.starvedPause)
    }

    public func tick(now: NIODeadline) {
        guard phase == .open else { return }
        let waiting = starved
        starved = []
        for stream in waiting where stream.phase != .closed { grant(stream, now) }
        if let pingSentAt {
            // Any data that arrived since the ping is as good as its answer.
            if now - max(pingSentAt, heardAt) >= LinkLimits.deadAfterPing {
                return fail(LinkError(.silent, "nothing was received from the other side for 25 s"))
            }
            if heardAt > pingSentAt && now - pingSentAt >= LinkLimits.deadAfterPing {
                self.pingSentAt = nil
                lastPingAt = now
            }
        } else if now - lastPingAt >= LinkLimits.pingAfter,
            now - heardAt >= LinkLimits.pingAfter || !streams.isEmpty
        {
            ping(now: now)
        }
    }

    func ping(now: NIODeadline) {
        pingNumber &+= 1
        pingSentAt = now
        lastPingAt = now
        LinkFrameHeader(.ping, stream: 0, length: 8).write(into: &urgent)
        urgent.writeInteger(pingNumber)
    }
}
