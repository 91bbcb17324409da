import TestSupport
import Testing

@testable import Identity

@Suite struct IdentityFuzzTests {
    @Test func aMailServerMaySayAnything() throws {
        let message = SMTPSession.Message(from: "a@box.test", to: "b@box.test", text: "Subject: s\r\n\r\n.t\r\n")
        let said =
            "220 hi\n250-box\n250-AUTH PLAIN\n250 STARTTLS\n220 go\n250-box\n250 AUTH PLAIN\n235 ok\n250 ok\n250 ok\n354 go\n250 ok\n221 bye"
        mutated([said]) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            var session = SMTPSession(
                security: .startTLS, credentials: ("u", "p"), message: message, name: "box.test")
            for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
                guard let action = session.receive(String(line)) else { continue }
                if case .send(let command) = action, command.hasPrefix("AUTH") {
                    // Never before TLS, whatever the server says.
                    #expect(hasSecured(text, before: line))
                }
                if action == .startTLS { _ = session.secured() }
                if case .fail = action { return }
                if action == .done { return }
            }
        }
    }

    /// Whether a reply that begins TLS stands before this line.
    private func hasSecured(_ text: String, before line: Substring) -> Bool {
        text[..<line.startIndex].split(separator: "\n").filter { $0.hasPrefix("220") }.count >= 2
    }

    @Test func aStoredHashOfAnyBytesIsReadOrRefused() throws {
        let hash = "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        #expect(PasswordHash(hash)?.text == hash)
        mutated([hash]) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let read = PasswordHash(text) else { return }
            #expect(PasswordHash(read.text)?.text == read.text)
        }
    }
}
