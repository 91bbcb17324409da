public import NIOCore

/// Where a message's content ends (RFC 9112, section 6).
public enum BodyFraming: Sendable, Equatable {
    case none
    /// In bytes.
    case length(Int)
    case chunked
    /// The content of a response that ends with its connection.
    case untilClose

    /// - Throws: ``HTTPMessageError`` if the framing is ambiguous.
    init(of block: FieldBlock, isVersion10: Bool) throws(HTTPMessageError) {
        let lengths = block.values(.contentLength)
        let codings = block.values(.transferEncoding)
        guard codings.isEmpty else {
            guard lengths.isEmpty else {
                throw HTTPMessageError(.malformed, "Content-Length and Transfer-Encoding are both present")
            }
            guard !isVersion10 else { throw HTTPMessageError(.malformed, "HTTP/1.0 has no Transfer-Encoding") }
            guard codings.count == 1, codings[0].lowercased() == "chunked" else {
                throw HTTPMessageError(.coding, "the only supported transfer coding is chunked")
            }
            self = .chunked
            return
        }
        guard let text = lengths.first else {
            self = .none
            return
        }
        // 18 digits fit into 64 bits.
        guard lengths.count == 1, (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let length = Int(text)
        else { throw HTTPMessageError(.malformed, "Content-Length is not a single number") }
        self = length == 0 ? .none : .length(length)
    }
}

/// Extracts a message's content from the bytes of its connection, as they arrive.
public struct BodyReader: Sendable {
    public enum Part: Sendable {
        case content(ByteBuffer)
        /// The end of the content, with the trailer fields of a chunked message.
        case end(FieldBlock?)
    }

    /// Maximum length of a chunk's first line with its extensions, which are dropped. In bytes.
    private static let chunkLineBytes = 256
    /// Maximum length of all trailer fields, in bytes.
    private static let trailerBytes = 8 << 10
    private static let trailerFields = 32

    private enum State: Sendable {
        case length(Int)
        case chunkLine
        case chunk(Int)
        /// The line end after a chunk.
        case chunkEnd
        case trailers
        case untilClose
        case done
    }

    private var state: State

    public init(_ framing: BodyFraming) {
        state =
            switch framing {
            case .none: .length(0)
            case .length(let length): .length(length)
            case .chunked: .chunkLine
            case .untilClose: .untilClose
            }
    }

    public var isDone: Bool { if case .done = state { true } else { false } }

    /// Whether all content and all framing bytes have been read.
    public var isComplete: Bool {
        switch state {
        case .length(0), .done: true
        case .length, .chunkLine, .chunk, .chunkEnd, .trailers, .untilClose: false
        }
    }

    /// Whether the content ends only when the connection does.
    public var isUntilClose: Bool { if case .untilClose = state { true } else { false } }

    /// - Returns: nil until more bytes arrive, and after the end.
    /// - Throws: ``HTTPMessageError``.
    public mutating func next(_ input: inout ByteBuffer) throws(HTTPMessageError) -> Part? {
        while true {
            switch state {
            case .length(0):
                state = .done
                return .end(nil)
            case .length(let missing):
                guard let content = Self.take(missing, &input) else { return nil }
                state = .length(missing - content.readableBytes)
                return .content(content)
            case .chunkLine:
                guard let size = try Self.chunkSize(&input) else { return nil }
                state = size == 0 ? .trailers : .chunk(size)
            case .chunk(let missing):
                guard let content = Self.take(missing, &input) else { return nil }
                let rest = missing - content.readableBytes
                state = rest == 0 ? .chunkEnd : .chunk(rest)
                return .content(content)
            case .chunkEnd:
                guard input.readableBytes >= 2 else { return nil }
                guard input.readInteger(as: UInt16.self) == 0x0D0A else {
                    throw HTTPMessageError(.malformed, "a chunk is longer than its size")
                }
                state = .chunkLine
            case .trailers:
                guard let block = try Self.trailers(&input) else { return nil }
                state = .done
                return .end(block.fields.isEmpty ? nil : block)
            case .untilClose:
                guard let content = Self.take(.max, &input) else { return nil }
                return .content(content)
            case .done: return nil
            }
        }
    }

    private static func take(_ missing: Int, _ input: inout ByteBuffer) -> ByteBuffer? {
        let count = min(missing, input.readableBytes)
        return count == 0 ? nil : input.readSlice(length: count)
    }

    /// `1*HEXDIG [chunk-ext] CRLF`
    private static func chunkSize(_ input: inout ByteBuffer) throws(HTTPMessageError) -> Int? {
        let view = input.readableBytesView
        guard let end = view.prefix(chunkLineBytes).firstIndex(of: Byte.lf) else {
            guard view.count < chunkLineBytes else {
                throw HTTPMessageError(.malformed, "a chunk's size line is too long")
            }
            return nil
        }
        let line = view[view.startIndex..<end]
        guard line.last == Byte.cr else { throw HTTPMessageError(.malformed, "a chunk's line ends without CR") }
        var size = 0
        var digits = 0
        var rest = line.dropLast()
        while let byte = rest.first, let digit = hexadecimal(byte) {
            size = size << 4 | digit
            digits += 1
            rest = rest.dropFirst()
        }
        // 15 digits fit into 63 bits.
        guard (1...15).contains(digits) else { throw HTTPMessageError(.malformed, "a chunk has no size") }
        let isExtension = rest.first == UInt8(ascii: ";") && rest.allSatisfy(Byte.isValue)
        guard rest.isEmpty || isExtension else { throw HTTPMessageError(.malformed, "a chunk's size is not a number") }
        input.moveReaderIndex(forwardBy: line.count + 1)
        return size
    }

    private static func hexadecimal(_ byte: UInt8) -> Int? {
        switch byte {
        case 0x30...0x39: Int(byte) - 0x30
        case 0x41...0x46: Int(byte) - 0x37
        case 0x61...0x66: Int(byte) - 0x57
        default: nil
        }
    }

    private static func trailers(_ input: inout ByteBuffer) throws(HTTPMessageError) -> FieldBlock? {
        if input.readableBytes >= 2, input.getInteger(at: input.readerIndex, as: UInt16.self) == 0x0D0A {
            input.moveReaderIndex(forwardBy: 2)
            return FieldBlock(ByteBuffer())
        }
        var reader = HeadReader(limit: trailerBytes)
        guard let bytes = try reader.next(&input) else { return nil }
        var block = FieldBlock(bytes)
        var failure: HTTPMessageError?
        bytes.withUnsafeReadableBytes { source in
            do throws(HTTPMessageError) {
                try FieldParser.parse(source, from: 0, limit: trailerFields, into: &block.fields)
            } catch { failure = error }
        }
        if let failure { throw failure }
        return block
    }
}

extension ByteBuffer {
    /// Writes content as one chunk (RFC 9112, section 7.1).
    public mutating func writeChunk(_ content: ByteBuffer) {
        writeString(String(content.readableBytes, radix: 16))
        writeStaticString("\r\n")
        writeImmutableBuffer(content)
        writeStaticString("\r\n")
    }
}
