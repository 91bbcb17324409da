import NIOCore
import TestSupport
import Testing

@testable import HTTP1

@Suite struct RequestHeadTests {
    private func head(_ text: String) throws -> RequestHead {
        var input = ByteBuffer(string: text)
        var reader = HeadReader(limit: 16 << 10)
        let found = try #require(try reader.next(&input))
        return try RequestHead(found)
    }

    private func refusal(_ text: String) -> HTTPMessageError.Code? {
        do {
            _ = try head(text)
            return nil
        } catch { return (error as? HTTPMessageError)?.code }
    }

    @Test func aRequestSaysWhereItGoesAndHowLongItIs() throws {
        let plain = try head("GET /a%2Fb?x=%20y HTTP/1.1\r\nHost: Demo.T.example:8443\r\nX-A:  b \t\r\n\r\n")
        #expect(plain.method == "GET" && plain.target == "/a%2Fb?x=%20y" && plain.host == "demo.t.example")
        #expect(plain.body == .none && plain.keepsAlive && plain.upgrade == nil)
        #expect(plain.fields.count == 2 && plain.block.value(plain.fields[1]) == "b")
        let post = try head("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
        #expect(post.body == .length(12))
        #expect(try head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n").body == .chunked)
        #expect(try !head("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n").keepsAlive)
        #expect(try !head("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").keepsAlive)
        #expect(try head("GET / HTTP/1.0\r\n\r\n").host == nil)
        let upgrade = try head(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n")
        #expect(upgrade.upgrade == "websocket")
        #expect(try head("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n").upgrade == nil)
        let absolute = try head("GET http://b.example/x?y HTTP/1.1\r\nHost: b.example\r\n\r\n")
        #expect(absolute.target == "/x?y" && absolute.host == "b.example")
        #expect(try head("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target == "*")
        #expect(try head("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n").host == "2001:db8::1")
    }

    /// Everything that two readers could take for different requests (RFC 9112, sections 2.2, 5, 6 and 11.2).
    @Test(arguments: [
        "GET / HTTP/1.1\nHost: a\n\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\u{0}: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\u{0}\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET x HTTP/1.1\r\nHost: a\r\n\r\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\u{0}GET / HTTP/1.1\r\nHost: a\r\n\r\n", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func whatCouldBeReadInTwoWaysIsRefused(request: String) { #expect(refusal(request) == .malformed) }

    @Test(arguments: [
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
    ])
    func onlyOneTransferCodingIsKnown(request: String) { #expect(refusal(request) == .coding) }

    @Test func otherVersionsAndEndlessHeadsAreRefused() throws {
        #expect(refusal("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == .version)
        #expect(refusal("GET / http/1.1\r\nHost: a\r\n\r\n") == .version)
        let many = (0...RequestHead.fieldLimit).map { "X-\($0): y\r\n" }.joined()
        #expect(refusal("GET / HTTP/1.1\r\nHost: a\r\n\(many)\r\n") == .headTooLarge)
        var endless = ByteBuffer(repeating: 0x61, count: (16 << 10) + 1)
        var reader = HeadReader(limit: 16 << 10)
        #expect(throws: HTTPMessageError.self) { try reader.next(&endless) }
    }

    @Test func aHeadIsFoundHoweverItIsCut() throws {
        let text = "GET /\r HTTP/1.1\r\nHost: a\r\n\r\nrest"
        for cut in 0...text.utf8.count {
            var input = ByteBuffer(string: String(decoding: Array(text.utf8)[..<cut], as: UTF8.self))
            var reader = HeadReader(limit: 1000)
            if let early = try reader.next(&input) {
                #expect(early.readableBytes == text.utf8.count - 4)
                continue
            }
            input.writeBytes(Array(text.utf8)[cut...])
            let found = try reader.next(&input)
            #expect(found?.readableBytes == text.utf8.count - 4 && input.readableBytes == 4, "cut at \(cut)")
        }
    }

    @Test func mutatedRequestsAreReadOrRefused() throws {
        let samples = [
            "GET /a?b HTTP/1.1\r\nHost: a\r\nCookie: x=y\r\n\r\n",
            "POST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\n",
        ]
        mutated(samples) { bytes in
            var input = ByteBuffer(bytes: bytes)
            var reader = HeadReader(limit: 16 << 10)
            guard let found = try? reader.next(&input), let head = try? RequestHead(found) else { return }
            var body = BodyReader(head.body)
            while let part = try? body.next(&input) { if case .end = part { break } }
            _ = try? ResponseHead(ByteBuffer(bytes: bytes), to: head.method)
        }
    }
}
