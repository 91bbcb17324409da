import HTTP1
import NIOCore
import Testing

@testable import Client

/// Requests are held until they are verified, however they are cut into pieces.
@Suite struct WebhookVerifierTests {
    // HMAC-SHA-256 of "hello" with the key "a-secret-key", by `openssl dgst -sha256 -hmac a-secret-key`.
    private static let code = "cb20a0b7d0b7e0d7d4ecd1e4a2a2c8e0cf2b0f8a5e3e4d7c6b5a49382716f5e4"

    private func verifier() throws -> WebhookVerifier {
        WebhookVerifier(try WebhookSignature(.github, secret: "a-secret-key"))
    }

    @Test func anUnsignedRequestIsNeverForwardedWhateverItsPieces() throws {
        let text =
            "POST / HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: sha256=\(Self.code)\r\nContent-Length: 5\r\n\r\nhello"
        for size in [1, 2, 7, 1000] {
            var verifier = try verifier()
            var actions: [WebhookVerifier.Action] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                actions += verifier.receive(ByteBuffer(bytes: rest.prefix(size)), now: 0)
                rest = rest.dropFirst(size)
            }
            #expect(actions.count == 1)
            guard case .refuse(401, "SIGNATURE", _) = actions.first else {
                Issue.record("\(actions)")
                continue
            }
            // After a refusal, nothing is read any more.
            #expect(verifier.receive(ByteBuffer(string: text), now: 0).isEmpty)
        }
    }

    @Test func whatIsNoHTTPOrTooLargeIsRefused() throws {
        for (text, status) in [
            ("nonsense\r\n\r\n", 400), ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413),
            ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 403),
        ] {
            var verifier = try verifier()
            let actions = verifier.receive(ByteBuffer(string: text), now: 0)
            guard case .refuse(let found, _, _) = actions.first else {
                Issue.record("\(text): \(actions)")
                continue
            }
            #expect(found == status && actions.count == 1)
        }
    }

    @Test func sendersAreReadFromTheirText() {
        #expect(WebhookSignature.parse("stripe:/a:b")?.file == "/a:b")
        #expect(WebhookSignature.parse("hmac:X-Sign:/a")?.sender == .hmac(header: "x-sign"))
        for wrong in ["", "stripe", "stripe:", "hmac:x", "hmac::x", "hmac:x:", "other:x"] {
            #expect(WebhookSignature.parse(wrong) == nil)
        }
    }
}
