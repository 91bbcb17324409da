import NIOCore
import Testing

@testable import HTTP1

@Suite struct BodyReaderTests {
    /// What is read of a message's content, however the bytes are cut, and what is left.
    private func read(_ framing: BodyFraming, _ bytes: String, cut: Int = 0) throws -> (
        content: String, ended: Bool, rest: String
    ) {
        var reader = BodyReader(framing)
        var content = ""
        var hasEnded = false
        var input = ByteBuffer()
        let all = Array(bytes.utf8)
        for part in [all[..<min(cut, all.count)], all[min(cut, all.count)...]] {
            input.writeBytes(part)
            while let part = try reader.next(&input) {
                switch part {
                case .content(let bytes): content += String(buffer: bytes)
                case .end(let trailers):
                    hasEnded = true
                    for field in trailers?.fields ?? [] {
                        content += "[\(trailers?.nameText(field) ?? "")=\(trailers?.value(field) ?? "")]"
                    }
                }
            }
        }
        return (content, hasEnded, String(buffer: input))
    }

    @Test func contentEndsWhereItsFramingSaysHoweverItIsCut() throws {
        let chunked = "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nTag: v\r\n\r\nnext"
        for cut in 0...chunked.utf8.count {
            let found = try read(.chunked, chunked, cut: cut)
            #expect(found.content == "abc0123456789[Tag=v]" && found.ended && found.rest == "next", "cut at \(cut)")
        }
        let found = try read(.length(3), "abcdef")
        #expect(found.content == "abc" && found.ended && found.rest == "def")
        #expect(try read(.none, "x").rest == "x")
        #expect(try read(.untilClose, "abc").ended == false)
    }

    @Test(arguments: [
        "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "\r\nabc", "3 \r\nabc\r\n", "0x3\r\nabc\r\n", "+3\r\nabc\r\n",
        "g\r\n",
        "1000000000000000\r\n", "3;\u{0}\r\nabc\r\n", "3\r\nabc\n0\r\n\r\n", "0\r\n Tag: v\r\n\r\n",
        "0\r\nTag : v\r\n\r\n",
    ])
    func aChunkThatIsNotExactIsRefused(bytes: String) {
        #expect(throws: HTTPMessageError.self) { try read(.chunked, bytes) }
    }

    @Test func aChunksLineAndTheTrailersHaveABound() {
        #expect(throws: HTTPMessageError.self) {
            try read(.chunked, "1;" + String(repeating: "x", count: 300) + "\r\n")
        }
        let trailers = String(repeating: "a: b\r\n", count: 2000)
        #expect(throws: HTTPMessageError.self) { try read(.chunked, "0\r\n\(trailers)\r\n") }
    }

    @Test func whatAnAnswersContentIsDependsOnTheRequestAndTheStatus() throws {
        func body(_ text: String, to method: String = "GET") throws -> BodyFraming {
            try ResponseHead(ByteBuffer(string: text), to: method).body
        }
        #expect(try body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") == .length(5))
        #expect(try body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", to: "HEAD") == .none)
        #expect(try body("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n") == .none)
        #expect(try body("HTTP/1.1 204\r\n\r\n") == .none)
        #expect(try body("HTTP/1.1 200 OK\r\n\r\n") == .untilClose)
        #expect(try body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") == .none)
        #expect(try body("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n") == .chunked)
        #expect(throws: HTTPMessageError.self) { try body("HTTP/1.1 20 OK\r\n\r\n\r\n") }
        #expect(throws: HTTPMessageError.self) { try body("HTTP/1.1 2000 OK\r\n\r\n") }
        #expect(throws: HTTPMessageError.self) { try body("HTTP/1.1 099 OK\r\n\r\n") }
        #expect(throws: HTTPMessageError.self) {
            try body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
        }
        #expect(try !ResponseHead(ByteBuffer(string: "HTTP/1.0 200 OK\r\n\r\n"), to: "GET").keepsAlive)
    }
}
