import Testing

@testable import Identity

@Suite struct SMTPSessionTests {
    private func session(
        _ security: SMTPSession.Security, user: (String, String)? = ("u", "p"), text: String = "Hello"
    ) -> SMTPSession {
        SMTPSession(
            security: security, credentials: user.map { (user: $0.0, password: $0.1) },
            message: .init(from: "a@box.test", to: "b@box.test", text: text), name: "[127.0.0.1]")
    }

    @Test func aMailGoesThroughSTARTTLSAndAPassword() {
        var session = session(.startTLS)
        #expect(session.receive("220 box") == .send("EHLO [127.0.0.1]"))
        #expect(session.receive("250-box") == nil)
        #expect(session.receive("250 STARTTLS") == .send("STARTTLS"))
        #expect(session.receive("220 go") == .startTLS)
        #expect(session.secured() == .send("EHLO [127.0.0.1]"))
        #expect(session.receive("250 AUTH LOGIN PLAIN") == .send("AUTH PLAIN AHUAcA=="))
        #expect(session.receive("235 yes") == .send("MAIL FROM:<a@box.test>"))
        #expect(session.receive("250 ok") == .send("RCPT TO:<b@box.test>"))
        #expect(session.receive("250 ok") == .send("DATA"))
        #expect(session.receive("354 go") == .send("Hello\r\n."))
        #expect(session.receive("250 taken") == .send("QUIT"))
        #expect(session.receive("221 bye") == .done)
    }

    @Test func aMailThatWasAcceptedStaysAcceptedWhenTheServerHangsUp() {
        var session = session(.none, user: nil)
        for line in ["220 box", "250 box", "250 ok", "250 ok"] { _ = session.receive(line) }
        #expect(session.receive("354 go") == .send("Hello\r\n."))
        #expect(session.closed() == .fail("the mail server closed the connection"))
        #expect(session.receive("250 taken") == .send("QUIT"))
        #expect(session.closed() == .done)
    }

    @Test func noPasswordGoesWhereTLSIsMissing() {
        var session = session(.startTLS)
        _ = session.receive("220 box")
        guard case .fail(let sentence)? = session.receive("250 AUTH PLAIN") else {
            Issue.record("it went on")
            return
        }
        #expect(sentence.contains("STARTTLS"))
    }

    @Test func whatWasSaidBeforeTLSCountsForNothing() {
        var session = session(.startTLS)
        _ = session.receive("220 box")
        _ = session.receive("250-AUTH PLAIN")
        _ = session.receive("250 STARTTLS")
        _ = session.receive("220 go")
        _ = session.secured()
        guard case .fail? = session.receive("250 nothing") else {
            Issue.record("it believed what came in the clear")
            return
        }
    }

    @Test(arguments: [0, 1, 2, 3, 4]) func aRefusalAtEveryStepIsTheServersOwnWords(step: Int) {
        var session = session(.none, user: nil)
        for reply in ["220 box", "250 box", "250 ok", "250 ok", "354 go"].prefix(step) { _ = session.receive(reply) }
        #expect(session.receive("554 go away") == .fail("the mail server replied: 554 go away"))
    }

    @Test func nonsenseAndRepliesWithoutEndAreGivenUp() {
        var other = session(.none)
        #expect(other.receive("SSH-2.0-x") == .fail("the mail server sent an invalid SMTP reply"))
        var endless = session(.none)
        let outcomes = (0..<200).map { _ in endless.receive("220-more") }
        #expect(outcomes.contains(.fail("the mail server's reply is too long")))
    }

    @Test func aDotAtTheBeginningOfALineIsDoubled() {
        #expect(SMTPSession.stuffed(".\r\na.b\r\n..c\r\n") == "..\r\na.b\r\n...c\r\n")
    }

    @Test func namesMakeNoHeaders() {
        #expect(SMTPClient.line("a\r\nBcc: b") == "aBcc: b")
        #expect(SMTPClient.encoded("plain") == "plain")
        #expect(SMTPClient.encoded("Wörk") == "=?utf-8?B?V8O2cms=?=")
    }
}
