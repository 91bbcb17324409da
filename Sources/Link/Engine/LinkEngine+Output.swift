public import NIOCore

extension LinkEngine {
    /// The next bytes to send. The order is decided here, as late as possible: first short control frames, then young
    /// streams, bulk streams and calls in turns.
    /// - Parameter bytes: the approximate amount; a started frame is always complete.
    /// - Returns: empty if there is nothing (more) to send.
    public func output(atMost bytes: Int) -> [ByteBuffer] {
        var output = LinkOutput()
        if urgent.readableBytes > 0 {
            output.append(urgent)
            urgent = ByteBuffer()
        }
        writeCredit(&output)
        while output.count < bytes, takeTurn(&output) {}
        return output.finish()
    }

    /// Whether ``output(atMost:)`` would return anything.
    public var hasOutput: Bool {
        urgent.readableBytes > 0 || !creditDue.isEmpty || !calls.isEmpty || !young.isEmpty || !bulk.isEmpty
    }

    private func writeCredit(_ output: inout LinkOutput) {
        guard !creditDue.isEmpty else { return }
        for stream in creditDue {
            stream.isCreditDue = false
            guard stream.phase != .closed else { continue }
            var consumed = stream.consumed
            if let final = stream.finalOffset, consumed == final {
                consumed += 1
                stream.finAcknowledgementSent = true
            }
            output.header(LinkFrameHeader(.credit, stream: stream.id, length: 16))
            stream.announced = max(stream.announced, stream.granted)
            output.gathered.writeMultipleIntegers(consumed, stream.announced)
            if stream.isDone { forget(stream) }
        }
        creditDue.removeAll(keepingCapacity: true)
    }

    /// - Returns: false if nothing is queued.
    private func takeTurn(_ output: inout LinkOutput) -> Bool {
        // Young streams get at most every other turn while others wait, and calls one turn in a round.
        let othersWait = !bulk.isEmpty || !calls.isEmpty
        if !young.isEmpty, !youngHadTurn || !othersWait {
            youngHadTurn = true
            send(young.removeFirst(), &output)
            return true
        }
        youngHadTurn = false
        if !calls.isEmpty, !callsHadTurn || bulk.isEmpty {
            callsHadTurn = true
            let call = calls.removeFirst()
            freePlace(of: call)
            output.append(call)
            return true
        }
        callsHadTurn = false
        guard !bulk.isEmpty else { return !young.isEmpty || !calls.isEmpty }
        send(bulk.removeFirst(), &output)
        return true
    }

    private func freePlace(of frame: ByteBuffer) {
        let start = frame.readerIndex
        guard frame.getInteger(at: start, as: UInt8.self) == LinkFrameType.answer.rawValue,
            let number = frame.getInteger(at: start + LinkFrameHeader.size, as: UInt32.self)
        else { return }
        callsReceived.remove(number)
        callsAnswered.remove(number)
    }

    private func send(_ stream: LinkStream, _ output: inout LinkOutput) {
        stream.isScheduled = false
        guard stream.phase != .closed else { return }
        // Nothing else is queued, so a full frame is sent, which costs less.
        let isAlone = bulk.isEmpty && young.isEmpty && calls.isEmpty
        let turn = isAlone ? LinkLimits.dataBytes : LinkLimits.turnBytes
        let count = min(stream.queuedBytes, stream.creditToSend, turn)
        if count > 0 {
            output.header(LinkFrameHeader(.data, stream: stream.id, length: count))
            var missing = count
            while missing > 0, var first = stream.queue.first {
                guard first.readableBytes > missing else {
                    missing -= first.readableBytes
                    output.append(first)
                    stream.queue.removeFirst()
                    continue
                }
                // `missing` is less than the readable bytes, so the slice exists.
                if let part = first.readSlice(length: missing) { output.append(part) }
                stream.queue[stream.queue.startIndex] = first
                missing = 0
            }
            stream.sent += UInt64(count)
            stream.queuedBytes -= count
        }
        if stream.queuedBytes == 0, stream.isFinishing, !stream.finSent {
            stream.finSent = true
            output.header(LinkFrameHeader(.fin, stream: stream.id, length: 8))
            output.gathered.writeInteger(stream.sent)
        }
        if stream.isFull, stream.queuedBytes <= LinkLimits.lowWater {
            stream.isFull = false
            events.append(.writable(stream))
        }
        schedule(stream)
    }

    func schedule(_ stream: LinkStream) {
        guard !stream.isScheduled, stream.canSend else { return }
        stream.isScheduled = true
        if stream.sent < UInt64(LinkLimits.youngBytes) { young.append(stream) } else { bulk.append(stream) }
    }
}

/// Buffers for the connection: headers and short payloads are gathered, long payloads are passed on without a copy.
struct LinkOutput {
    /// Payloads of up to this many bytes are copied behind their header, which costs less than a separate write.
    private static let copiedBytes = 2048

    private(set) var count = 0
    private var buffers: [ByteBuffer] = []
    var gathered = ByteBuffer()

    mutating func header(_ header: LinkFrameHeader) {
        header.write(into: &gathered)
        count += LinkFrameHeader.size
    }

    mutating func append(_ bytes: ByteBuffer) {
        count += bytes.readableBytes
        if bytes.readableBytes <= Self.copiedBytes {
            gathered.writeImmutableBuffer(bytes)
        } else {
            cut()
            buffers.append(bytes)
        }
    }

    private mutating func cut() {
        guard gathered.readableBytes > 0 else { return }
        buffers.append(gathered)
        gathered = ByteBuffer()
    }

    mutating func finish() -> [ByteBuffer] {
        cut()
        return buffers
    }
}
