import Model

/// The transfer of one mail to a mail server (RFC 5321), with STARTTLS (RFC 3207) and AUTH PLAIN (RFC 4616). A pure
/// state machine: replies go in, actions come out.
struct SMTPSession {
    enum Security: Sendable { case startTLS, tls, none }

    struct Message: Sendable {
        let from, to: String
        /// Header and body, with CRLF, without the dot at the end.
        let text: String
    }

    enum Action: Equatable {
        case send(String)
        case startTLS
        case done
        /// The server's message, or ours.
        case fail(String)
    }

    private enum Step { case greeting, hello, startTLS, helloAgain, authentication, from, to, data, body, quit }

    private let security: Security
    private let credentials: (user: String, password: String)?
    private let message: Message
    private let name: String
    private var step = Step.greeting
    private var lines: [String] = []
    private var extensions: [String] = []
    /// Maximum number of lines in one reply; real ones have about ten.
    private static let lineLimit = 100

    /// - Parameter name: the name that we send in the greeting.
    init(security: Security, credentials: (user: String, password: String)?, message: Message, name: String) {
        self.security = security
        self.credentials = credentials
        self.message = message
        self.name = name
    }

    /// Takes one line of a reply, without its end.
    mutating func receive(_ line: String) -> Action? {
        guard line.utf8.count >= 3, let code = Int(line.prefix(3)), (200..<600).contains(code) else {
            return .fail("the mail server sent an invalid SMTP reply")
        }
        lines.append(String(line.dropFirst(4)))
        guard lines.count <= Self.lineLimit else { return .fail("the mail server's reply is too long") }
        if line.dropFirst(3).first == "-" { return nil }
        defer { lines = [] }
        return reply(code, lines)
    }

    /// TLS is active: discards everything that was received before.
    mutating func secured() -> Action {
        extensions = []
        step = .helloAgain
        return .send("EHLO \(name)")
    }

    private mutating func reply(_ code: Int, _ lines: [String]) -> Action {
        let refused = Action.fail("the mail server replied: \(code) \(lines.joined(separator: " ").prefix(200))")
        switch step {
        case .greeting:
            guard code == 220 else { return refused }
            return go(.hello, "EHLO \(name)")
        case .hello:
            guard code == 250 else { return refused }
            extensions = lines.map { $0.uppercased() }
            guard security == .startTLS else { return authenticate() }
            guard extensions.contains("STARTTLS") else {
                return .fail(
                    "the mail server does not offer STARTTLS; set smtp-security to tls, or to none if the mail server runs on this machine"
                )
            }
            return go(.startTLS, "STARTTLS")
        case .startTLS: return code == 220 ? .startTLS : refused
        case .helloAgain:
            guard code == 250 else { return refused }
            extensions = lines.map { $0.uppercased() }
            return authenticate()
        case .authentication: return code == 235 ? go(.from, "MAIL FROM:<\(message.from)>") : refused
        case .from: return code == 250 ? go(.to, "RCPT TO:<\(message.to)>") : refused
        case .to: return code == 250 || code == 251 ? go(.data, "DATA") : refused
        case .data:
            guard code == 354 else { return refused }
            return go(.body, Self.stuffed(message.text) + "\r\n.")
        case .body: return code == 250 ? go(.quit, "QUIT") : refused
        // The mail was accepted, whatever the server answers to QUIT.
        case .quit: return .done
        }
    }

    /// The server closed the connection. A mail that it has accepted stays accepted, also without a reply to QUIT (RFC 5321, section
    /// 4.1.1.10).
    func closed() -> Action {
        if case .quit = step { return .done }
        return .fail("the mail server closed the connection")
    }

    private mutating func authenticate() -> Action {
        guard let credentials else { return go(.from, "MAIL FROM:<\(message.from)>") }
        guard extensions.contains(where: { $0.hasPrefix("AUTH") && $0.contains("PLAIN") }) else {
            return .fail("the mail server does not offer AUTH PLAIN; remove smtp-user, or set smtp-security to tls")
        }
        let plain = Array("\0\(credentials.user)\0\(credentials.password)".utf8)
        let padding = String(repeating: "=", count: (3 - plain.count % 3) % 3)
        return go(.authentication, "AUTH PLAIN \(Base64.text(plain))\(padding)")
    }

    private mutating func go(_ next: Step, _ command: String) -> Action {
        step = next
        return .send(command)
    }

    /// RFC 5321, section 4.5.2: a dot at the beginning of a line is doubled.
    static func stuffed(_ text: String) -> String {
        text.split(separator: "\r\n", omittingEmptySubsequences: false).map {
            $0.hasPrefix(".") ? ".\($0)" : String($0)
        }
        .joined(separator: "\r\n")
    }
}
