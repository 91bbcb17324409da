public import NIOCore

/// The receiver's side of RFC 6455, as a pure state machine: bytes in, whole messages out.
///
/// A frame that is complete in the read bytes is returned as a slice of them. Only a frame that is cut by the end of a
/// read is copied, without the bytes that follow it.
public struct WebSocketReader: Sendable {
    public enum Role: Sendable {
        /// Reads what clients send: always masked (section 5.1).
        case server
        /// Reads what servers send: never masked.
        case client
    }

    private struct Frame {
        let header: WebSocketHeader
        let payload: ByteBuffer
    }

    /// A fragmented message (section 5.4).
    private struct Assembly {
        let kind: WebSocketMessage.Kind
        var bytes: ByteBuffer
        var fragments = 1
    }

    /// Space for a cut frame of up to this length is reserved at once, and for a longer one as it arrives: a peer must
    /// not get memory just by announcing a length. In bytes.
    private static let reservedBytes = 64 << 10

    private let role: Role
    private let maxMessageBytes: Int
    private let maxFragments: Int
    /// The start of a frame that is not complete yet.
    private var cut = ByteBuffer()
    /// Bytes that were read and follow ``cut``.
    private var fresh = ByteBuffer()
    private var assembly: Assembly?

    /// - Parameters:
    ///   - maxMessageBytes: maximum length of one message, including all fragments.
    ///   - maxFragments: maximum number of frames in one message.
    public init(role: Role, maxMessageBytes: Int, maxFragments: Int) {
        self.role = role
        self.maxMessageBytes = maxMessageBytes
        self.maxFragments = maxFragments
    }

    /// Takes bytes that were read from the socket. Call ``next()`` until it returns nil before the next call.
    public mutating func receive(_ bytes: ByteBuffer) {
        if fresh.readableBytes == 0 { fresh = bytes } else { fresh.writeImmutableBuffer(bytes) }
    }

    /// - Returns: nil if more bytes are needed.
    /// - Throws: ``WebSocketError``; nothing after it can be trusted, so close the connection with its code.
    public mutating func next() throws(WebSocketError) -> WebSocketMessage? {
        while let frame = try nextFrame() {
            let header = frame.header
            guard (header.mask != nil) == (role == .server) else {
                throw .violation(
                    role == .server
                        ? "client frames are masked (RFC 6455, section 5.1)"
                        : "server frames are not masked (RFC 6455, section 5.1)")
            }
            // The common case: an unfragmented message that needs no checks.
            if header.opcode == .binary, header.isFinal, assembly == nil {
                return WebSocketMessage(.binary, frame.payload, mask: header.mask)
            }
            if let message = try message(header, frame.payload) { return message }
        }
        return nil
    }

    /// Fast path for servers: moves the leading ``PlainFrame``s into a target, unmasked and with a server's framing,
    /// while accessing both buffers once for all frames. Stops at the first frame that is not one, or that `take`
    /// rejects; ``next()`` reads that frame.
    /// - Parameters:
    ///   - minimumCapacity: reserved in the target before the first message is written, in bytes.
    ///   - take: gets the start of the message's framing in the target and its payload at its final position. If it
    ///     returns false, this message and what follows it are left to ``next()``.
    public mutating func takeBinary(
        to target: inout ByteBuffer, minimumCapacity: Int,
        _ take: (_ start: Int, _ payload: UnsafeRawBufferPointer) -> Bool
    ) {
        guard role == .server, cut.readableBytes == 0, assembly == nil else { return }
        let longest = maxMessageBytes
        guard fresh.withUnsafeReadableBytes({ PlainFrame($0, at: 0, maxPayloadBytes: longest) }) != nil else { return }
        let end = target.writerIndex
        var taken = 0
        // A server's framing is four bytes shorter than a client's, so the capacity for the bytes that were read is
        // enough for the bytes that are written.
        target.writeWithUnsafeMutableBytes(minimumWritableBytes: max(minimumCapacity, fresh.readableBytes)) { target in
            fresh.withUnsafeReadableBytes { source in
                // Both hold at least the one frame that was checked.
                guard let from = source.baseAddress, let to = target.baseAddress else { return 0 }
                var written = 0
                while let frame = PlainFrame(source, at: taken, maxPayloadBytes: longest) {
                    let framing = frame.size - 4
                    // The first byte and the length are the client's, without the mask bit. That is two or four bytes;
                    // if it is two, the payload overwrites the other two.
                    let first = from.loadUnaligned(fromByteOffset: taken, as: UInt32.self)
                    to.storeBytes(of: first & ~UInt32(bigEndian: 0x0080_0000), toByteOffset: written, as: UInt32.self)
                    let payload = to + written + framing
                    frame.mask.copy(from + taken + frame.size, payload, frame.payloadBytes)
                    guard take(end + written, UnsafeRawBufferPointer(start: payload, count: frame.payloadBytes)) else {
                        break
                    }
                    written += framing + frame.payloadBytes
                    taken += frame.size + frame.payloadBytes
                }
                return written
            }
        }
        fresh.moveReaderIndex(forwardBy: taken)
        if fresh.readableBytes == 0 { fresh = ByteBuffer() }
    }

    // MARK: Frames

    @inline(__always)
    private mutating func nextFrame() throws(WebSocketError) -> Frame? {
        if cut.readableBytes > 0 { return try finishCut() }
        guard fresh.readableBytes > 0 else { return nil }
        guard let header = try WebSocketHeader(peeking: fresh, maxPayloadBytes: maxMessageBytes) else {
            return beginCut(expecting: WebSocketHeader.longest)
        }
        guard fresh.readableBytes >= header.size + header.payloadBytes else {
            return beginCut(expecting: header.size + header.payloadBytes)
        }
        fresh.moveReaderIndex(forwardBy: header.size)
        let payload = fresh.readSlice(length: header.payloadBytes) ?? ByteBuffer()
        // Drops the reference to the storage, so that the socket can reuse it for the next read.
        if fresh.readableBytes == 0 { fresh = ByteBuffer() }
        return Frame(header: header, payload: payload)
    }

    private mutating func beginCut(expecting bytes: Int) -> Frame? {
        cut.reserveCapacity(min(bytes, Self.reservedBytes))
        cut.writeBuffer(&fresh)
        fresh = ByteBuffer()
        return nil
    }

    private mutating func finishCut() throws(WebSocketError) -> Frame? {
        fill(to: 2)
        var header = try WebSocketHeader(peeking: cut, maxPayloadBytes: maxMessageBytes)
        while header == nil, fresh.readableBytes > 0 {
            fill(to: cut.readableBytes + 1)
            header = try WebSocketHeader(peeking: cut, maxPayloadBytes: maxMessageBytes)
        }
        guard let header else { return nil }
        let total = header.size + header.payloadBytes
        fill(to: total)
        guard cut.readableBytes == total else { return nil }
        cut.moveReaderIndex(forwardBy: header.size)
        let payload = cut
        cut = ByteBuffer()
        return Frame(header: header, payload: payload)
    }

    /// Moves bytes to the end of the cut frame until it has this many, or there are no more.
    private mutating func fill(to bytes: Int) {
        let missing = min(bytes - cut.readableBytes, fresh.readableBytes)
        guard missing > 0, var part = fresh.readSlice(length: missing) else { return }
        cut.writeBuffer(&part)
        if fresh.readableBytes == 0 { fresh = ByteBuffer() }
    }

    // MARK: Messages

    private mutating func message(
        _ header: WebSocketHeader, _ payload: ByteBuffer
    ) throws(WebSocketError) -> WebSocketMessage? {
        switch header.opcode {
        case .ping: return WebSocketMessage(.ping, payload, mask: header.mask)
        case .pong: return WebSocketMessage(.pong, payload, mask: header.mask)
        case .close:
            let close = WebSocketMessage(.close, payload, mask: header.mask)
            try WebSocketClose.check(close.payload)
            return close
        case .text, .binary:
            guard assembly == nil else { throw .violation("a message began inside another") }
            let message = WebSocketMessage(header.opcode == .text ? .text : .binary, payload, mask: header.mask)
            if header.isFinal { return try checked(message) }
            assembly = Assembly(kind: message.kind, bytes: message.payload)
            return nil
        case .continuation: return try continuation(header, payload)
        }
    }

    private mutating func continuation(
        _ header: WebSocketHeader, _ payload: ByteBuffer
    ) throws(WebSocketError) -> WebSocketMessage? {
        guard var whole = assembly else { throw .violation("a continuation frame without a message") }
        assembly = nil
        guard whole.bytes.readableBytes + payload.readableBytes <= maxMessageBytes else {
            throw .tooLong(maxMessageBytes)
        }
        whole.fragments += 1
        guard whole.fragments <= maxFragments else {
            throw WebSocketError(closeCode: 1009, description: "a message has at most \(maxFragments) fragments")
        }
        WebSocketMessage(.binary, payload, mask: header.mask).append(to: &whole.bytes)
        if header.isFinal { return try checked(WebSocketMessage(whole.kind, whole.bytes, mask: nil)) }
        assembly = whole
        return nil
    }

    /// A text is returned unmasked, because it had to be checked.
    private func checked(_ message: WebSocketMessage) throws(WebSocketError) -> WebSocketMessage {
        guard message.kind == .text else { return message }
        let text = message.payload
        guard text.isUTF8 else { throw .notUTF8 }
        return WebSocketMessage(.text, text, mask: nil)
    }
}

extension ByteBuffer {
    /// Whether the readable bytes are UTF-8 (RFC 3629).
    var isUTF8: Bool { (try? UTF8Span(validating: readableBytesUInt8Span)) != nil }
}
