public import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TransportSecurity

/// Sends HTTP/1.1 requests to other servers. Supports connection reuse, bodies that stream in both directions, sockets
/// in the file system, and a proxy.
///
/// If the server has just closed an idle connection, a request that can be sent again is retried once.
public final class HTTPClient: Sendable {
    /// The default timeout of a request: connecting, and then the whole exchange.
    public static let exchangeTime = TimeAmount.seconds(15)
    /// The default maximum size of an answer to ``exchange(_:_:bodyBytes:)``, in bytes.
    public static let bodyBytes = 1 << 20

    private typealias Pool = ConnectionPool<Endpoint, OpenConnection>

    private struct State {
        var pool: Pool
        var isStopped = false
    }

    private let connector: Connector
    private let idleTime: TimeAmount
    private let state: Mutex<State>

    /// - Parameters:
    ///   - connector: opens connections.
    ///   - idleTime: how long a connection is kept for the next request: less than servers commonly allow.
    public init(_ connector: Connector, idleTime: TimeAmount = .seconds(30)) {
        self.idleTime = idleTime
        state = Mutex(State(pool: Pool(bounds: .init(idle: idleTime.nanoseconds))))
        self.connector = connector
    }

    /// Sends a request and waits for its whole answer.
    /// - Parameter bodyBytes: maximum length of the body, in bytes.
    /// - Throws: ``OutboundError``; ``TLSError``; NIO's errors.
    public func exchange(
        _ endpoint: Endpoint, _ request: HTTPRequest, bodyBytes: Int = HTTPClient.bodyBytes
    ) async throws -> HTTPAnswer {
        try await send(endpoint, request).collected(upTo: bodyBytes)
    }

    /// Sends a request and waits for the head of its answer.
    /// - Throws: ``OutboundError``; ``TLSError``; NIO's errors.
    public func send(_ endpoint: Endpoint, _ request: HTTPRequest) async throws -> HTTPStreamedAnswer {
        if request.isRepeatable, let kept = try take(endpoint) {
            do {
                return try await exchange(on: kept, endpoint, request)
            } catch  where Self.isClosing(error) {
                // The server closed the idle connection while the request was in flight.
            }
        }
        return try await exchange(on: try await connect(endpoint), endpoint, request)
    }

    private static func isClosing(_ error: any Error) -> Bool {
        switch error {
        case OutboundError.closed, is ChannelError, is IOError: true
        default: false
        }
    }

    /// Closes idle connections. Exchanges in progress continue.
    public func stop() {
        let idle = state.withLock { state in
            state.isStopped = true
            return state.pool.removeAll()
        }
        idle.forEach { $0.close() }
    }

    // MARK: One exchange

    private func exchange(
        on open: OpenConnection, _ endpoint: Endpoint, _ request: HTTPRequest
    ) async throws -> HTTPStreamedAnswer {
        let promise = open.channel.eventLoop.makePromise(of: HTTPStreamedAnswer.self)
        let head = head(endpoint, request)
        open.run { connection in
            let exchange = ClientConnection.Exchange(answer: promise) { isReusable in
                if isReusable { self.give(open, for: endpoint) }
            }
            connection.begin(head, exchange, deadline: request.deadline)
            switch request.body {
            case .none: connection.finish()
            case .bytes(let bytes):
                _ = connection.write(bytes)
                connection.finish()
            case .stream: break
            }
        }
        return try await withTaskCancellationHandler {
            guard case .stream(_, let parts) = request.body else { return try await promise.futureResult.get() }
            return try await send(parts, on: open, until: promise.futureResult)
        } onCancel: {
            open.run { $0.abandon(promise.futureResult) }
        }
    }

    /// Sends a body while waiting for its answer. If the answer comes earlier, sending stops.
    private func send(
        _ parts: AsyncThrowingStream<ByteBuffer, any Error>, on open: OpenConnection,
        until answer: EventLoopFuture<HTTPStreamedAnswer>
    ) async throws -> HTTPStreamedAnswer {
        try await withThrowingTaskGroup(of: HTTPStreamedAnswer?.self) { group in
            group.addTask { try await answer.get() }
            group.addTask {
                do {
                    for try await part in parts {
                        guard let written = try await open.value({ $0.write(part) }) else { return nil }
                        try await written.get()
                    }
                    // If its task is cancelled, a stream ends as if it were complete.
                    try Task.checkCancellation()
                    open.run { $0.finish() }
                } catch let error as CancellationError {
                    // The answer came first, or the caller left, which ends the exchange by itself.
                    throw error
                } catch {
                    // A truncated request must not look complete.
                    open.run { $0.abandon(answer) }
                    throw error
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() { if let result { return result } }
            throw OutboundError.closed
        }
    }

    private func head(_ endpoint: Endpoint, _ request: HTTPRequest) -> HTTPRequestHead {
        var headers = request.headers
        if !headers.contains(name: "Host") { headers.add(name: "Host", value: endpoint.authority) }
        for name in ["Content-Length", "Transfer-Encoding", "Connection"] { headers.remove(name: name) }
        switch request.body {
        case .none:
            if request.method == .POST || request.method == .PUT { headers.add(name: "Content-Length", value: "0") }
        case .bytes(let bytes): headers.add(name: "Content-Length", value: "\(bytes.readableBytes)")
        case .stream(let length?, _): headers.add(name: "Content-Length", value: "\(length)")
        case .stream(nil, _): headers.add(name: "Transfer-Encoding", value: "chunked")
        }
        var path = request.path
        // For requests without a tunnel, a proxy gets the full URL (RFC 9112, section 3.2.2).
        if case .http(let host, _) = endpoint, let proxy, proxy.applies(to: host) {
            path = "http://\(endpoint.authority)\(path)"
        }
        return HTTPRequestHead(version: .http1_1, method: request.method, uri: path, headers: headers)
    }

    // MARK: Connections

    private var proxy: Proxy? { connector.proxy }

    private func take(_ endpoint: Endpoint) throws -> OpenConnection? {
        let (found, isStopped) = state.withLock { ($0.pool.take(endpoint), $0.isStopped) }
        if isStopped { throw OutboundError.stopped }
        return found
    }

    /// Called on the connection's event loop.
    private func give(_ open: OpenConnection, for endpoint: Endpoint) {
        let closing = state.withLock { state -> [OpenConnection] in
            if state.isStopped { return [open] }
            let (number, closing) = state.pool.give(open, for: endpoint, now: Self.now)
            open.connection.value.poolNumber = number
            return closing
        }
        closing.forEach { $0.close() }
        open.channel.eventLoop.scheduleTask(in: idleTime) { [weak self] in self?.expire() }
    }

    private func expire() {
        let expired = state.withLock { $0.pool.expire(now: Self.now) }
        expired.forEach { $0.close() }
    }

    private static var now: Int64 { Int64(NIODeadline.now().uptimeNanoseconds) }

    private func connect(_ endpoint: Endpoint) async throws -> OpenConnection {
        let speakHTTP = { @Sendable (channel: any Channel) in try self.speakHTTP(on: channel) }
        switch endpoint {
        case .unix(let path): return try await connector.connect(path: path, initialize: speakHTTP).get()
        case .http(let host, let port):
            // A proxy takes plain HTTP directly, without a tunnel.
            let server = proxy.flatMap { $0.applies(to: host) ? ($0.host, $0.port) : nil } ?? (host, port)
            return try await connector.connectDirectly(host: server.0, port: server.1, initialize: speakHTTP).get()
        case .https(let host, let port, let tls):
            return try await connector.connect(host: host, port: port, tls: tls, initialize: speakHTTP).get()
        }
    }

    private func speakHTTP(on channel: any Channel) throws -> OpenConnection {
        try channel.pipeline.syncOperations.addHTTPClientHandlers()
        let handler = ClientConnection { [weak self] number in self?.state.withLock { $0.pool.remove(number) } }
        try channel.pipeline.syncOperations.addHandler(handler)
        return OpenConnection(channel: channel, connection: NIOLoopBound(handler, eventLoop: channel.eventLoop))
    }
}
