import NIOCore

/// Splits received bytes into frames. The content of a `DATA` frame is passed on as it arrives. The payload of other
/// frames, at most 64 KiB, is collected first.
struct LinkFrameReader {
    enum Part: Equatable {
        /// A complete frame other than `DATA`.
        case frame(LinkFrameType, stream: UInt32, ByteBuffer)
        /// The header of a `DATA` frame. ``content(_:)`` follows until its length is reached.
        case dataHeader(stream: UInt32, length: Int)
        /// A part of the last `DATA` frame's content.
        case content(ByteBuffer)
    }

    private enum State {
        case header
        case payload(LinkFrameType, stream: UInt32, length: Int)
        case content(missing: Int)
        /// An unknown frame that may be ignored.
        case skipping(missing: Int)
    }

    private var state = State.header
    private var input = ByteBuffer()
    /// Whether frames of an unknown type may be skipped; false until the peer has identified itself.
    var skipsUnknown = false

    mutating func receive(_ bytes: ByteBuffer) {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            // Frees the bytes that were already read: the buffer holds less than one frame, for the whole life of the
            // link.
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
    }

    /// Bytes that wait for the rest of their frame.
    var waitingBytes: Int { input.readableBytes }

    /// - Returns: nil until more bytes arrive.
    /// - Throws: ``LinkError``; the link has then failed.
    mutating func next() throws(LinkError) -> Part? {
        while true {
            switch state {
            case .header:
                guard let header = try LinkFrameHeader(reading: &input) else { return nil }
                if let part = try begin(header) { return part }
            case .payload(let type, let stream, let length):
                guard let payload = input.readSlice(length: length) else { return nil }
                state = .header
                return .frame(type, stream: stream, payload)
            case .content(let missing):
                guard let part = take(missing) else { return nil }
                let rest = missing - part.readableBytes
                state = rest == 0 ? .header : .content(missing: rest)
                return .content(part)
            case .skipping(let missing):
                guard let part = take(missing) else { return nil }
                let rest = missing - part.readableBytes
                state = rest == 0 ? .header : .skipping(missing: rest)
            }
        }
    }

    private mutating func take(_ missing: Int) -> ByteBuffer? {
        let count = min(missing, input.readableBytes)
        return count == 0 ? nil : input.readSlice(length: count)
    }

    /// - Returns: a `DATA` header; nil for all other frames.
    private mutating func begin(_ header: LinkFrameHeader) throws(LinkError) -> Part? {
        guard let type = LinkFrameType(rawValue: header.type) else {
            guard skipsUnknown, header.flags & LinkFrameHeader.mayBeIgnored != 0 else {
                throw LinkError(.protocolError, "frame type \(header.type) is unknown")
            }
            guard header.length <= LinkLimits.dataBytes else {
                throw LinkError(.protocolError, "a frame of \(header.length) bytes exceeds the limit")
            }
            if header.length > 0 { state = .skipping(missing: Int(header.length)) }
            return nil
        }
        guard type.lengths.contains(Int(header.length)) else {
            throw LinkError(.protocolError, "a frame of type \(type) cannot be \(header.length) bytes long")
        }
        guard type.isOfStream == (header.stream != 0) else {
            throw LinkError(.protocolError, "a frame of type \(type) is on stream \(header.stream)")
        }
        let length = Int(header.length)
        if type == .data {
            if length > 0 { state = .content(missing: length) }
            return .dataHeader(stream: header.stream, length: length)
        }
        state = .payload(type, stream: header.stream, length: length)
        return nil
    }
}
