public import NIOCore
import Wire

extension LinkEngine {
    /// Takes bytes from the connection.
    public func receive(_ bytes: ByteBuffer, now: NIODeadline) {
        guard phase != .over else { return }
        heardAt = now
        reader.receive(bytes)
        do throws(LinkError) {
            while let part = try reader.next() {
                switch part {
                case .frame(let type, let stream, let payload): try receive(type, stream, payload, now)
                case .dataHeader(let stream, let length): try receiveData(stream, length, now)
                case .content(let content): receiveContent(content, now)
                }
                if phase == .over { return }
            }
            if phase == .greeting && configuration.side == .server
                && reader.waitingBytes > LinkLimits.helloBytes + LinkFrameHeader.size
            {
                throw LinkError(.protocolError, "more than a HELLO was received before the link was open")
            }
        } catch { fail(error) }
    }

    private func receive(
        _ type: LinkFrameType, _ stream: UInt32, _ payload: ByteBuffer, _ now: NIODeadline
    ) throws(LinkError) {
        var payload = payload
        switch type {
        case .hello, .welcome: return try receiveGreeting(type, payload, now)
        case .goAway:
            let reason = try decode(LinkGoAway.self, payload)
            isGoingAway = true
            events.append(.goAway(reason))
            return
        case .open, .accept, .reject, .data, .fin, .reset, .credit, .ping, .pong, .call, .answer: break
        }
        guard phase == .open else { throw LinkError(.protocolError, "\(type) was received before the link was open") }
        switch type {
        case .open: try receiveOpen(stream, payload, now)
        case .accept: try receiveAccept(stream)
        case .reject: try receiveReject(stream, payload)
        case .fin: try receiveFin(stream, payload.readInteger() ?? 0, now)
        case .reset: try receiveReset(stream, ResetCode(payload.readInteger() ?? 0), now)
        case .credit: try receiveCredit(stream, payload.readInteger() ?? 0, payload.readInteger() ?? 0, now)
        case .ping: try receivePing(payload, now)
        case .pong: receivePong(payload.readInteger() ?? 0, now)
        case .call, .answer: try receiveCall(type, payload, now)
        case .hello, .welcome, .goAway, .data: break
        }
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ payload: ByteBuffer) throws(LinkError) -> Value {
        do { return try JSONText.decode(type, from: payload) } catch {
            throw LinkError(.protocolError, "\(type): \(error)")
        }
    }

    // MARK: Greeting

    private func receiveGreeting(_ type: LinkFrameType, _ payload: ByteBuffer, _ now: NIODeadline) throws(LinkError) {
        guard phase == .greeting, (type == .hello) == (configuration.side == .server) else {
            throw LinkError(.protocolError, "\(type) was received at the wrong time")
        }
        if type == .welcome {
            let welcome = try decode(LinkWelcome.self, payload)
            guard welcome.version == LinkWelcome.version else {
                throw LinkError(.version, "the server uses version \(welcome.version) of the link protocol")
            }
            begin(credit: welcome.credit, maxStreams: welcome.maxStreams, now: now)
            events.append(.welcome(welcome))
        } else {
            guard !helloSeen else {
                throw LinkError(.protocolError, "a second HELLO")
            }
            let hello = try decode(LinkHello.self, payload)
            guard hello.versions.contains(LinkWelcome.version) else {
                throw LinkError(
                    .version,
                    "this server uses version \(LinkWelcome.version) of the link protocol; install a newer Postern")
            }
            helloSeen = true
            events.append(.hello(hello))
        }
    }

    // MARK: Streams

    private func isOfPeer(_ id: UInt32) -> Bool { (id & 1 == 1) == (configuration.side == .server) }

    /// The stream of a frame; nil if the stream was forgotten and the frame came too late.
    private func stream(_ id: UInt32) throws(LinkError) -> LinkStream? {
        if let stream = streams[id] { return stream }
        let wasThere = isOfPeer(id) ? id <= highestPeerStream : id < nextStream
        guard wasThere else { throw LinkError(.protocolError, "stream \(id) was never opened") }
        return nil
    }

    private func receiveOpen(_ id: UInt32, _ payload: ByteBuffer, _ now: NIODeadline) throws(LinkError) {
        guard isOfPeer(id), id > highestPeerStream, id <= LinkLimits.lastStream else {
            throw LinkError(.protocolError, "OPEN of stream \(id), which is not the next one")
        }
        guard opens.take(now: now) else { throw LinkError(.flood, "too many streams were opened in a second") }
        let open = try decode(LinkOpen.self, payload)
        highestPeerStream = id
        guard urgent.readableBytes < LinkLimits.urgentBytes else {
            throw LinkError(.flood, "the other side sends requests without reading the responses")
        }
        guard theirStreams < configuration.maxStreams, reserveForNewStream(now: now) else {
            lateBytes += LinkLimits.initialCredit
            return urgent.writeFrame(.reject, stream: id, JSONText.encode(LinkRejection.busy))
        }
        let stream = LinkStream(
            id: id, open: open, phase: .open, credit: LinkLimits.initialCredit, theirCredit: theirCredit, now: now)
        streams[id] = stream
        theirStreams += 1
        events.append(.opened(stream))
    }

    private func receiveAccept(_ id: UInt32) throws(LinkError) {
        guard !isOfPeer(id) else { throw LinkError(.protocolError, "ACCEPT for a stream of the sender") }
        guard let stream = try stream(id) else { return }
        guard stream.phase == .opening else { throw LinkError(.protocolError, "a second ACCEPT of stream \(id)") }
        stream.phase = .open
        events.append(.accepted(stream))
    }

    private func receiveReject(_ id: UInt32, _ payload: ByteBuffer) throws(LinkError) {
        guard !isOfPeer(id) else { throw LinkError(.protocolError, "REJECT for a stream of the sender") }
        guard let stream = try stream(id) else { return }
        guard stream.phase == .opening else {
            throw LinkError(.protocolError, "REJECT of stream \(id), which was accepted")
        }
        let reason = try decode(LinkRejection.self, payload)
        forget(stream)
        events.append(.rejected(stream, reason))
    }

    private func receiveData(_ id: UInt32, _ length: Int, _ now: NIODeadline) throws(LinkError) {
        guard phase == .open else { throw LinkError(.protocolError, "DATA was received before the link was open") }
        if length == 0, !empties.take(now: now) { throw LinkError(.flood, "too many empty frames") }
        dataStream = try stream(id)
        guard let stream = dataStream else {
            lateBytes -= length
            guard lateBytes >= 0 else {
                throw LinkError(.flowControl, "a closed stream received more than its credit")
            }
            return
        }
        guard stream.finalOffset == nil else { throw LinkError(.protocolError, "DATA after FIN on stream \(id)") }
        guard stream.received + UInt64(length) <= stream.granted else {
            throw LinkError(.flowControl, "stream \(id) sent more than its credit")
        }
    }

    private func receiveContent(_ content: ByteBuffer, _ now: NIODeadline) {
        // If the stream was reset in the middle of a frame, the rest of the frame is dropped.
        guard let stream = dataStream, stream.phase != .closed else { return }
        stream.received += UInt64(content.readableBytes)
        // A short piece is copied, so that it does not keep the buffer of the whole read alive.
        let isShort = content.readableBytes * 4 < content.storageCapacity
        events.append(.data(stream, isShort ? ByteBuffer(bytes: content.readableBytesView) : content))
    }

    private func receiveFin(_ id: UInt32, _ offset: UInt64, _ now: NIODeadline) throws(LinkError) {
        guard let stream = try stream(id) else { return }
        guard stream.finalOffset == nil, offset == stream.received else {
            throw LinkError(
                .protocolError, "FIN at offset \(offset) of stream \(id), which has \(stream.received) bytes")
        }
        stream.finalOffset = offset
        // Nothing more comes, so the unused grant is released.
        budget.release(Int(stream.granted - offset))
        stream.granted = offset
        events.append(.finished(stream))
        acknowledgeFin(stream)
    }

    private func receiveReset(_ id: UInt32, _ code: ResetCode, _ now: NIODeadline) throws(LinkError) {
        if openResets.remove(id) != nil { return }
        let known = try stream(id)
        // The number of our own open streams limits their resets. All other resets count against the allowance.
        if known == nil || isOfPeer(id), !resets.take(now: now) {
            throw LinkError(.flood, "too many streams were reset in a second")
        }
        // Also answered if the stream is forgotten here: the peer waits for the answer.
        urgent.writeReset(id, code)
        guard let known else { return }
        forget(known)
        events.append(.reset(known, code))
    }

    private func receiveCredit(
        _ id: UInt32, _ consumed: UInt64, _ limit: UInt64, _ now: NIODeadline
    ) throws(LinkError) {
        guard let stream = try stream(id) else { return }
        guard consumed <= stream.sent + (stream.finSent ? 1 : 0), limit >= stream.sendLimit,
            limit <= stream.sent + UInt64(2 * LinkLimits.windowBytes)
        else { throw LinkError(.flowControl, "CREDIT of stream \(id) is out of bounds") }
        let isFinal = stream.finSent && consumed == stream.sent + 1
        if limit == stream.sendLimit && !isFinal && !empties.take(now: now) {
            throw LinkError(.flood, "too many CREDIT frames without new credit")
        }
        stream.sendLimit = limit
        if isFinal {
            stream.finAcknowledged = true
            if stream.isDone { forget(stream) }
        }
        schedule(stream)
    }

    // MARK: Calls and pings

    private func receiveCall(_ type: LinkFrameType, _ payload: ByteBuffer, _ now: NIODeadline) throws(LinkError) {
        var payload = payload
        let id: UInt32 = payload.readInteger() ?? 0
        if type == .answer {
            guard callsSent.remove(id) != nil else { throw LinkError(.protocolError, "ANSWER \(id) without a call") }
            return events.append(.answer(id, payload))
        }
        guard callAllowance.take(now: now) else { throw LinkError(.flood, "too many calls in a second") }
        guard callsReceived.count < LinkLimits.openCalls, callsReceived.insert(id).inserted else {
            throw LinkError(.protocolError, "more than \(LinkLimits.openCalls) calls are open")
        }
        events.append(.call(id, payload))
    }

    private func receivePing(_ payload: ByteBuffer, _ now: NIODeadline) throws(LinkError) {
        guard pings.take(now: now) else { throw LinkError(.flood, "too many pings in a second") }
        guard urgent.readableBytes < LinkLimits.urgentBytes else {
            throw LinkError(.flood, "the other side sends requests without reading the responses")
        }
        urgent.writeFrame(.pong, payload)
    }

    private func receivePong(_ number: UInt64, _ now: NIODeadline) {
        guard let sent = pingSentAt, number == pingNumber else { return }
        roundTrip = now - sent
        pingSentAt = nil
    }
}

extension ByteBuffer {
    mutating func writeReset(_ stream: UInt32, _ code: ResetCode) {
        LinkFrameHeader(.reset, stream: stream, length: 4).write(into: &self)
        writeInteger(code.rawValue)
    }
}
