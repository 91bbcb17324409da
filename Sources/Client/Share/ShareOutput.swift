import EndToEnd
import Model
import NIOCore
import SessionHost
import TransportSecurity
import Wire

/// The messages of `postern share` to its person or, with `--json`, to a program.
enum ShareOutput {
    private struct Opening: Encodable {
        struct Code: Encodable {
            let permission: Permission
            let code, secret, join, url: String
        }

        let sessionId: String
        /// The fingerprint of the server's certificate, if it is pinned.
        let fingerprint: String?
        let codes: [Code]
    }

    private struct Event: Encodable {
        var event: String
        var peerId: String?
        var name: String?
        /// The account's name, if the guest calls itself something else.
        var account: String?
        /// Whether the guest has an account at all.
        var hasAccount: Bool?
        var permission: Permission?
        var code: String?
        var status: Int32?
        var message: String?
    }

    static func opening(sessionId: String, codes: [CodeSecrets], server: ServerAddress) -> String {
        let opening = Opening(
            sessionId: sessionId, fingerprint: server.pin?.description,
            codes: codes.map { secrets in
                let spoken = ShareInvitation(code: secrets.code, secret: secrets.words)
                return .init(
                    permission: secrets.permission, code: secrets.code.description, secret: secrets.words.text,
                    join: "postern join \(spoken.spoken)",
                    url: link(secrets, server))
            })
        return json(opening)
    }

    static func banner(_ options: ShareOptions, codes: [CodeSecrets], server: ServerAddress) -> String {
        var text = options.foreword.map { "\($0)\r\n" }.joined()
        text +=
            "Sharing \(VisibleText.escaped(options.command.joined(separator: " "))) through \(server), end-to-end encrypted.\r\n"
        for secrets in codes {
            let spoken = ShareInvitation(code: secrets.code, secret: secrets.words)
            let link = link(secrets, server)
            text += secrets.permission == .control ? "  to type along:  " : "  to watch only:  "
            text += "postern join \(spoken.spoken)\r\n    in a browser:  \(link)\r\n"
        }
        if let pin = server.pin { text += "  certificate:    \(pin) (already in the link)\r\n" }
        return text + "Ctrl-] opens a menu. The share ends when the command does.\r\n"
    }

    /// A line for each code, for the menu.
    static func joining(_ codes: [CodeSecrets], server: ServerAddress) -> [String] {
        codes.flatMap { secrets in
            let spoken = ShareInvitation(code: secrets.code, secret: secrets.words).spoken
            return [
                "\(secrets.permission == .control ? "to type along:" : "to watch only:")  postern join \(spoken)",
                "    in a browser:  \(link(secrets, server))",
            ]
        }
    }

    private static func link(_ secrets: CodeSecrets, _ server: ServerAddress) -> String {
        ShareInvitation(code: secrets.code, secret: secrets.link, fingerprint: server.pin?.hexadecimal)
            .link(server: server.description)
    }

    static func json(_ notice: HostNotice) -> String {
        switch notice {
        case .guestAsks(let peerId, let account, let name, let permission):
            json(
                Event(
                    event: "guest_asks", peerId: peerId, name: name ?? account, account: account,
                    hasAccount: account != nil, permission: permission))
        case .guestJoined(let peerId, let name, let permission):
            json(Event(event: "guest_joined", peerId: peerId, name: name, permission: permission))
        case .guestLeft(let peerId, let name): json(Event(event: "guest_left", peerId: peerId, name: name))
        case .typing(let peerId, let name): json(Event(event: "typing", peerId: peerId, name: name))
        case .wrongSecret(let name, let code):
            json(Event(event: "wrong_secret", name: name, code: code.description))
        case .codeDied(let code): json(Event(event: "code_dead", code: code.description))
        case .neverProved(let name): json(Event(event: "never_proved", name: name))
        case .tampering(let name, let what): json(Event(event: "tampering", name: name, message: what))
        }
    }

    static func event(_ event: String, status: Int32? = nil, message: String? = nil) -> String {
        json(Event(event: event, status: status, message: message))
    }

    /// How the host sees a guest without an account.
    static let withoutAccount = "a guest without an account"

    static func sentence(_ notice: HostNotice) -> TerminalText {
        switch notice {
        case .guestAsks(_, let account, _, let permission):
            "\(account ?? withoutAccount) asks to \(permission == .control ? "type" : "watch")"
        case .guestJoined(_, let name, let permission):
            "\(name) joined and \(permission == .control ? "can type" : "watches")"
        case .guestLeft(_, let name): "\(name) left"
        case .typing(_, let name): "\(name) is typing"
        case .wrongSecret(let name, _): "\(name) entered the wrong words"
        case .codeDied(let code): "the words of code \(code) are disabled: too many wrong tries; its link still works"
        case .neverProved(let name):
            "\(name) joined with the code but did not prove knowledge of the words; the seat was released"
        case .tampering(let name, let what): "the connection of \(name) was tampered with: \(what)"
        }
    }

    private static func json(_ value: some Encodable) -> String {
        VisibleText.escapedJSON(String(buffer: JSONText.encode(value)))
    }
}
