public import NIOCore
public import NIOHTTP1

/// One request. The client sets `Content-Length`, `Transfer-Encoding` and `Connection`, and also `Host` if the request
/// has none.
public struct HTTPRequest: Sendable {
    public enum Body: Sendable {
        case none
        case bytes(ByteBuffer)
        /// Sent as it comes, no faster than the peer reads it.
        /// - Parameter length: in bytes; nil sends it in chunks.
        case stream(length: Int?, AsyncThrowingStream<ByteBuffer, any Error>)
    }

    public var method: HTTPMethod
    /// The path and query.
    public var path: String
    public var headers: HTTPHeaders
    public var body: Body
    /// The time from the call to the end of the answer's body; nil for endless answers, such as logs that are followed.
    public var deadline: TimeAmount?
    /// Whether sending the request twice has the same effect as sending it once. Only such a request may use a kept
    /// connection, which the server may be closing at this moment.
    public var isRepeatable: Bool

    public init(
        _ method: HTTPMethod, _ path: String, headers: HTTPHeaders = [:], body: Body = .none,
        deadline: TimeAmount? = HTTPClient.exchangeTime
    ) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.deadline = deadline
        // RFC 9110, section 9.2.2.
        isRepeatable = [.GET, .HEAD, .PUT, .DELETE, .OPTIONS].contains(method)
        if case .stream = body { isRepeatable = false }
    }
}

/// An answer whose body is still arriving.
public struct HTTPStreamedAnswer: Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    /// Read it once and to its end: stopping early closes the connection.
    public let body: HTTPBody

    /// Reads the whole answer.
    /// - Parameter limit: of the body, in bytes.
    /// - Throws: ``OutboundError/tooLong`` and the connection's errors.
    public func collected(upTo limit: Int) async throws -> HTTPAnswer {
        var whole = ByteBuffer()
        for try await part in body {
            guard whole.readableBytes + part.readableBytes <= limit else { throw OutboundError.tooLong }
            whole.writeImmutableBuffer(part)
        }
        return HTTPAnswer(status: status, headers: headers, body: whole)
    }
}

/// A complete answer.
public struct HTTPAnswer: Sendable {
    public let status: Int
    public let headers: HTTPHeaders
    public let body: ByteBuffer
}

/// The parts of a body, as they arrive. The connection is not read while nobody takes them.
public struct HTTPBody: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer
    typealias Producer = NIOThrowingAsyncSequenceProducer<
        ByteBuffer, any Error, NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark, BodyDelegate
    >

    /// The number of parts that may wait for the reader before reading pauses, and below which it resumes. A part is
    /// the result of one socket read: at most 64 KiB.
    static let watermarks = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(
        lowWatermark: 2, highWatermark: 8)

    let sequence: Producer

    public struct AsyncIterator: AsyncIteratorProtocol {
        var iterator: Producer.AsyncIterator

        public mutating func next() async throws -> ByteBuffer? { try await iterator.next() }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: sequence.makeAsyncIterator()) }
}
