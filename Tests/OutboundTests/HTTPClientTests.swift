import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport
import Testing
import TransportSecurity

@testable import Outbound

@Suite struct HTTPClientTests {
    /// Tests may stand still for long beside others.
    private let client = HTTPClient(Connector(group: MultiThreadedEventLoopGroup.singleton), idleTime: .hours(1))

    private func text(_ answer: HTTPAnswer) -> String { String(buffer: answer.body) }

    @Test func repeatableRequestsShareAConnection() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        for number in 0..<5 {
            let answer = try await client.exchange(endpoint, HTTPRequest(.GET, "/\(number)"))
            #expect(text(answer) == "GET /\(number) 127.0.0.1:\(server.port) ")
        }
        #expect(server.connections == 1)
        let posted = try await client.exchange(
            endpoint, HTTPRequest(.POST, "/p", body: .bytes(ByteBuffer(string: "body"))))
        #expect(text(posted) == "POST /p 127.0.0.1:\(server.port) body")
        // A request that may not be sent twice does not go where the server may be closing.
        #expect(server.connections == 2)
        client.stop()
        try await server.stop()
    }

    @Test func aConnectionThatTheServerClosedIsReplaced() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        for _ in 0..<3 {
            _ = try await client.exchange(endpoint, HTTPRequest(.GET, "/"))
            try await server.hangUp()
        }
        #expect(server.connections == 3)
        client.stop()
        try await server.stop()
    }

    @Test func aSocketInTheFileSystemIsAsked() async throws {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        let server = try await TestServer(path: "\(directory)/s") { EchoHandler() }
        let answer = try await client.exchange(.unix(path: "\(directory)/s"), HTTPRequest(.GET, "/v1"))
        #expect(text(answer) == "GET /v1 localhost ")
        client.stop()
        try await server.stop()
    }

    @Test func bodiesStreamBothWays() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        let parts = 1024
        var read = 0
        let answer = try await client.send(endpoint, HTTPRequest(.GET, "/stream?\(parts)"))
        for try await part in answer.body { read += part.readableBytes }
        #expect(read == parts << 14)
        for length in [nil, parts << 14] {
            let (stream, source) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
            for _ in 0..<parts { source.yield(ByteBuffer(repeating: 1, count: 1 << 14)) }
            source.finish()
            let counted = try await client.exchange(
                endpoint, HTTPRequest(.POST, "/count", body: .stream(length: length, stream)))
            #expect(text(counted) == "\(parts << 14)")
        }
        client.stop()
        try await server.stop()
    }

    /// A reader that takes nothing stops the sender: what waits is bounded by the sockets' buffers and the watermarks.
    @Test func aReaderThatWaitsStopsTheSender() async throws {
        let written = EchoHandler.Written()
        let server = try await TestServer { EchoHandler(written) }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        let answer = try await client.send(endpoint, HTTPRequest(.GET, "/stream?4096", deadline: nil))
        var iterator = answer.body.makeAsyncIterator()
        let first = try await iterator.next()
        #expect(first != nil)
        // A whole transfer of the same size passes meanwhile.
        for try await _ in try await client.send(endpoint, HTTPRequest(.GET, "/stream?4096")).body {}
        #expect(written.parts.load(ordering: .relaxed) < 2 * 4096)
        // It goes on where it stopped, to the last byte.
        var read = first?.readableBytes ?? 0
        while let part = try await iterator.next() { read += part.readableBytes }
        #expect(read == 4096 << 14)
        client.stop()
        try await server.stop()
    }

    @Test func aReaderThatLeavesClosesTheConnection() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        do {
            let answer = try await client.send(endpoint, HTTPRequest(.GET, "/stream?4096"))
            for try await _ in answer.body { break }
        }
        _ = try await client.exchange(endpoint, HTTPRequest(.GET, "/"))
        #expect(server.connections == 2)
        client.stop()
        try await server.stop()
    }

    @Test func limitsAreKept() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        await #expect(throws: OutboundError.tooLong) {
            try await client.exchange(endpoint, HTTPRequest(.GET, "/stream?8"), bodyBytes: 100_000)
        }
        await #expect(throws: OutboundError.timeout) {
            try await client.exchange(endpoint, HTTPRequest(.GET, "/silent", deadline: .milliseconds(50)))
        }
        let waiting = Task { try await client.exchange(endpoint, HTTPRequest(.GET, "/silent", deadline: nil)) }
        waiting.cancel()
        await #expect(throws: (any Error).self) { try await waiting.value }
        client.stop()
        await #expect(throws: OutboundError.stopped) { try await client.exchange(endpoint, HTTPRequest(.GET, "/")) }
        try await server.stop()
    }

    /// An answer before the request's end counts, and its connection is not used again.
    @Test func anEarlyAnswerEndsTheRequest() async throws {
        let server = try await TestServer { EchoHandler() }
        let endpoint = Endpoint.http(host: "127.0.0.1", port: server.port)
        let (stream, source) = AsyncThrowingStream.makeStream(of: ByteBuffer.self)
        source.yield(ByteBuffer(string: "first"))
        let answer = try await client.exchange(
            endpoint, HTTPRequest(.POST, "/early", body: .stream(length: nil, stream)))
        #expect(text(answer) == "no")
        _ = try await client.exchange(endpoint, HTTPRequest(.GET, "/"))
        #expect(server.connections == 2)
        client.stop()
        try await server.stop()
    }

    // MARK: TLS

    /// A certificate that is not the pinned one is named, also where the connection is gone before a request is on it.
    @Test func whatTLSRefusesIsSaid() async throws {
        let pair = try Issuing.selfSigned(names: ["localhost"], now: 1_790_000_000)
        let store = ServerCertificates()
        try store.serve(pair, servesAnyName: true)
        let listener = try TLSContext.listener(store)
        let server = try await TestServer(tls: listener) { EchoHandler() }
        let trusted = try TLSContext.client(trust: .pinned(pair.leaf.fingerprint))
        let answer = try await client.exchange(
            .https(host: "localhost", port: server.port, trusted), HTTPRequest(.GET, "/t"))
        #expect(text(answer) == "GET /t localhost:\(server.port) ")
        let other = try TLSContext.client(trust: .pinned(.none))
        do {
            _ = try await client.exchange(.https(host: "localhost", port: server.port, other), HTTPRequest(.GET, "/"))
            Issue.record("an untrusted server was asked")
        } catch let error as TLSError {
            #expect(error.code == .untrusted && error.found == pair.leaf.fingerprint)
        }
        client.stop()
        try await server.stop()
    }

    // MARK: Proxies

    /// A proxy for tunnels: answers CONNECT with `status`, and notes what it was asked.
    private final class ProxyHandler: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let asked = Mutex<[String]>([])
        let answer: String

        init(_ answer: String) { self.answer = answer }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            asked.withLock { $0.append(String(buffer: unwrapInboundIn(data))) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }

    @Test func aProxyIsAskedForATunnel() async throws {
        let handler = ProxyHandler("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        let server = try await TestServer(isHTTP: false) { handler }
        let client = HTTPClient(
            Connector(
                group: MultiThreadedEventLoopGroup.singleton, proxy: Proxy(host: "127.0.0.1", port: server.port)))
        let tls = try TLSContext.client(trust: .pinned(.none))
        await #expect(throws: OutboundError.proxy("HTTP/1.1 403 Forbidden")) {
            try await client.exchange(.https(host: "example.org", port: 443, tls), HTTPRequest(.GET, "/"))
        }
        #expect(
            handler.asked.withLock { $0 } == ["CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"])
        try await server.stop()
    }

    @Test func throughAnOpenTunnelTLSIsSpoken() async throws {
        let handler = ProxyHandler("HTTP/1.1 200 OK\r\n\r\n")
        let server = try await TestServer(isHTTP: false) { handler }
        let client = HTTPClient(
            Connector(
                group: MultiThreadedEventLoopGroup.singleton, proxy: Proxy(host: "127.0.0.1", port: server.port)))
        let tls = try TLSContext.client(trust: .pinned(.none))
        // This proxy answers the client hello with its line again, which is no TLS.
        await #expect(throws: (any Error).self) {
            try await client.exchange(.https(host: "example.org", port: 443, tls), HTTPRequest(.GET, "/"))
        }
        let asked = handler.asked.withLock { $0 }
        #expect(asked.count == 2 && asked[1].utf8.first == 0x16)
        try await server.stop()
    }

    /// Collects what the server says first, then closes.
    private final class Listener: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let heard: EventLoopPromise<String>

        init(_ heard: EventLoopPromise<String>) { self.heard = heard }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            heard.succeed(String(buffer: unwrapInboundIn(data)))
            context.close(promise: nil)
        }

        func handlerRemoved(context: ChannelHandlerContext) { heard.fail(OutboundError.closed) }
    }

    /// A mail server greets first, and its greeting may come with the proxy's answer.
    @Test func aServerBehindATunnelMaySpeakFirst() async throws {
        let handler = ProxyHandler("HTTP/1.1 200 OK\r\n\r\n220 mail\r\n")
        let server = try await TestServer(isHTTP: false) { handler }
        let connector = Connector(
            group: MultiThreadedEventLoopGroup.singleton, proxy: Proxy(host: "127.0.0.1", port: server.port))
        let heard = try await connector.connect(host: "example.org", port: 25, tls: nil) { channel in
            let promise = channel.eventLoop.makePromise(of: String.self)
            try channel.pipeline.syncOperations.addHandler(Listener(promise))
            return promise.futureResult
        }.get()
        #expect(try await heard.get() == "220 mail\r\n")
        try await server.stop()
    }

    /// What is no tunnel goes to the proxy with its whole address.
    @Test func plainRequestsNameTheirServerToTheProxy() async throws {
        let server = try await TestServer { EchoHandler() }
        let client = HTTPClient(
            Connector(
                group: MultiThreadedEventLoopGroup.singleton, proxy: Proxy(host: "127.0.0.1", port: server.port)))
        let answer = try await client.exchange(.http(host: "example.org", port: 80), HTTPRequest(.GET, "/a"))
        #expect(text(answer) == "GET http://example.org/a example.org ")
        client.stop()
        try await server.stop()
    }
}
