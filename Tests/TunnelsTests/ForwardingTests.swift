import HTTP1
import NIOCore
import Testing

@testable import Tunnels

/// What the service gets of a request, and the visitor of an answer.
@Suite struct ForwardingTests {
    private func head(_ text: String) throws -> RequestHead {
        var input = ByteBuffer(string: text)
        var reader = HeadReader(limit: 16 << 10)
        return try RequestHead(try #require(try reader.next(&input)))
    }

    private func forwarded(_ text: String, hostHeader: String? = nil, drops: Bool = false) throws -> [String] {
        let head = try head(text)
        let request = RequestForwarding(
            head, from: .init(address: "203.0.113.7", host: head.host ?? ""), hostHeader: hostHeader,
            dropsAuthorization: drops)
        return String(buffer: request.headBytes).split(separator: "\r\n").map(String.init)
    }

    @Test func aRequestIsWrittenAnewWithWhatTheVisitorMayNotSay() throws {
        let lines = try forwarded(
            """
            GET /a?b HTTP/1.1\r\nHost: demo.t.test\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=x\r\nX-Forwarded-Proto: http\r
            X-Postern-User: root\r\nConnection: close, X-Secret\r\nX-Secret: s\r\nKeep-Alive: 5\r\nProxy-Authorization: p\r
            TE: gzip, trailers\r\nUpgrade: h2c\r\nAccept: */*\r\n\r\n
            """)
        #expect(
            lines == [
                "GET /a?b HTTP/1.1", "Host: demo.t.test", "Accept: */*", "Connection: TE", "TE: trailers",
                "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: demo.t.test",
                "Forwarded: for=203.0.113.7;host=demo.t.test;proto=https",
            ])
    }

    @Test func aPasswordAndCookiesForTheEdgeStayHere() throws {
        let request =
            "GET / HTTP/1.1\r\nHost: a.t\r\nAuthorization: Basic eDp5\r\nCookie: a=b; __Host-postern-seen=1; c=d\r\n\r\n"
        #expect(try forwarded(request).contains("Authorization: Basic eDp5"))
        let dropped = try forwarded(request, drops: true)
        #expect(!dropped.contains { $0.hasPrefix("Authorization") })
        #expect(try forwarded(request).contains("Cookie: a=b; c=d"))
        #expect(try forwarded(request, hostHeader: "localhost:3000")[1] == "Host: localhost:3000")
    }

    @Test func contentKeepsItsFraming() throws {
        var request = RequestForwarding(
            try head("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
            from: .init(address: "::1", host: "a"),
            hostHeader: nil, dropsAuthorization: false)
        #expect(String(buffer: request.headBytes).contains("Transfer-Encoding: chunked\r\n"))
        #expect(String(buffer: request.headBytes).contains("for=\"[::1]\""))
        var out: [ByteBuffer] = []
        var input = ByteBuffer(string: "3;ext\r\nabc\r\n0\r\nX-T: v\r\nContent-Length: 9\r\n\r\nGET")
        try request.content(&input, into: &out)
        #expect(out.map { String(buffer: $0) }.joined() == "3\r\nabc\r\n0\r\nX-T: v\r\n\r\n")
        #expect(request.isEnded && String(buffer: input) == "GET")
    }

    // MARK: Answers

    private func answered(
        _ request: String, _ answer: [String], finishing: Bool = false
    ) throws -> (text: String, response: ResponseForwarding, steps: [ResponseForwarding.Step]) {
        var response = ResponseForwarding(to: try head(request), host: "demo.t.test")
        var out: [ByteBuffer] = []
        var steps: [ResponseForwarding.Step] = []
        for part in answer { steps += try response.receive(ByteBuffer(string: part), into: &out) }
        if finishing {
            let isWhole = response.finish(into: &out)
            #expect(isWhole)
        }
        return (out.map { String(buffer: $0) }.joined(), response, steps)
    }

    private let get = "GET / HTTP/1.1\r\nHost: demo.t.test\r\n\r\n"

    @Test func anAnswerPassesAndTheServicesConnectionIsKept() throws {
        let found = try answered(get, ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\nKeep-Alive: x\r\nX: y\r\n\r\na", "bc"])
        #expect(found.text == "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc")
        #expect(found.steps == [.head(status: 200), .ended])
        #expect(found.response.keepsService && found.response.keepsVisitor && !found.response.hasRest)
    }

    @Test func whatFollowsAnAnswerIsNeverTakenForTheNext() throws {
        let found = try answered(get, ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n\r\n"])
        #expect(found.response.hasRest)
        #expect(throws: HTTPMessageError.self) {
            try answered(get, ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"])
        }
    }

    @Test func chunksAreWrittenAnewAndAnEndByCloseBecomesOne() throws {
        let chunked = try answered(
            get, ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\nT: v\r\n\r\n"])
        #expect(chunked.text == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n")
        let open = try answered(get, ["HTTP/1.1 200 OK\r\n\r\nab", "c"], finishing: true)
        #expect(open.text == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        #expect(!open.response.keepsService && open.response.keepsVisitor)
        let old = try answered(
            "GET / HTTP/1.0\r\n\r\n", ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"])
        #expect(old.text == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na")
        #expect(!old.response.keepsVisitor)
    }

    @Test func anAnswerThatBreaksOffIsNotWhole() throws {
        var response = ResponseForwarding(to: try head(get), host: "a")
        var out: [ByteBuffer] = []
        _ = try response.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), into: &out)
        let isWhole = response.finish(into: &out)
        #expect(!isWhole)
    }

    @Test func headsBeforeTheAnswerPass() throws {
        let found = try answered(
            get,
            ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"])
        #expect(
            found.text
                == "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
        )
        #expect(found.steps == [.head(status: 204), .ended])
    }

    @Test func cookiesStayWithTheirHost() throws {
        let found = try answered(
            get,
            [
                """
                HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=1; Domain=t.test\r\nSet-Cookie: c=1; domain = .test\r
                Set-Cookie: d=1; Domain=demo.t.test\r\nSet-Cookie: e=1; Domain=.DEMO.t.test; Secure\r
                Set-Cookie: __Host-postern-seen=1\r\nSet-Cookie: f=1\u{600}; Domain=t.test\r\nX-Postern-A: b\r\nContent-Length: 0\r\n\r\n
                """
            ])
        let cookies = found.text.split(separator: "\r\n").filter { $0.hasPrefix("Set-Cookie") }
        #expect(cookies.map { $0.dropFirst(12).first } == ["a", "d", "e"])
        #expect(found.response.droppedCookies == 4 && !found.text.contains("X-Postern"))
    }

    @Test func bytesPassBothWaysOnlyBehindTheServicesOwnSwitch() throws {
        let request =
            "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        #expect(try forwarded(request).contains("Upgrade: websocket"))
        let right =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nbytes"
        let found = try answered(request, [right])
        #expect(found.steps == [.head(status: 101), .switched] && found.text.hasSuffix("\r\n\r\nbytes"))
        for wrong in [
            right.replacing("s3pP", with: "x3pP"), right.replacing("Upgrade: websocket", with: "Upgrade: h2c"),
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            #expect(throws: HTTPMessageError.self) { try answered(request, [wrong]) }
        }
        #expect(throws: HTTPMessageError.self) { try answered(get, [right]) }
        // Without being asked for, and with a body: no upgrade is passed on.
        #expect(try !forwarded(request.replacing("GET /ws", with: "POST /ws")).contains("Upgrade: websocket"))
    }

    @Test func aConnectionThatKnowsItsVisitorIsNotSharedWithOthers() throws {
        let found = try answered(get, ["HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM abc\r\nContent-Length: 0\r\n\r\n"])
        #expect(found.response.isBound)
        #expect(
            try !answered(get, ["HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"]).response
                .isBound)
    }
}
