import FoundationEssentials
import HTTP1
import Model
import NIOCore
import Testing
import Wire

@testable import Tunnels

/// The table in docs/access.md of who gets in where, made by asking the gate itself.
@Suite struct AccessTableTests {
    private static let path = URL(filePath: #filePath).deletingLastPathComponent().appending(
        path: "../../docs/access.md")
    private static let begin = "<!-- made by AccessTableTests: 'make documents' -->\n"
    private static let end = "<!-- end -->"
    private static let keys = """
        {"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
        """

    private enum Visitor: String, CaseIterable {
        case anybody = "anybody"
        case password = "with the password"
        case token = "with a valid token"
        case ana = "ana, a member, signed in"
        case ben = "ben, a member, signed in"
        case stranger = "a member of another organisation, signed in"
    }

    private static let policies: [(String, AccessPolicy)] = {
        func policy(_ change: (inout AccessPolicy) -> Void) -> AccessPolicy {
            var policy = AccessPolicy()
            change(&policy)
            return policy
        }
        return [
            ("no rules", AccessPolicy()), ("`--private`", policy { $0.members = [] }),
            ("`--member ana`", policy { $0.members = ["ana"] }),
            ("`--basic-auth`", policy { $0.basicAuth = ["guest:correct-horse"] }),
            ("`--bearer-keys`", policy { $0.bearer = BearerPolicy(keys: keys) }),
            (
                "`--private --basic-auth`",
                policy {
                    $0.members = []
                    $0.basicAuth = ["guest:correct-horse"]
                }
            ),
        ]
    }()

    private static func outcome(_ visitor: Visitor, _ policy: AccessPolicy) throws -> String {
        var text = "GET / HTTP/1.1\r\nHost: h\r\n"
        if visitor == .password { text += "Authorization: Basic Z3Vlc3Q6Y29ycmVjdC1ob3JzZQ==\r\n" }
        if visitor == .token { text += "Authorization: Bearer good\r\n" }
        var input = ByteBuffer(string: text + "\r\n")
        var reader = HeadReader(limit: 16 << 10)
        let head = try RequestHead(try #require(try reader.next(&input)))
        let gate = PolicyGate(try AccessRules(policy))
        let now = Timestamp(milliseconds: 1_000_000)
        gate.accept("good", until: 2_000)
        let name = visitor == .ana ? "ana" : visitor == .ben ? "ben" : visitor == .stranger ? "eve" : nil
        let member = name.map {
            EdgeMember(
                userId: $0, username: $0, organisationId: visitor == .stranger ? "other" : "own", credentialId: $0)
        }
        switch gate.signIn(head, member: member, organisation: "own", now: now) {
        case .done: return "yes"
        case .refused(let answer): return "no: \(answer.status)"
        case .member: return "no: sign-in"
        case .undecided: return "no: 401"
        }
    }

    @Test func theTableSaysWhatTheGateDoes() throws {
        var table =
            "| visitor |\(Self.policies.map { " \($0.0) |" }.joined())\n|---|\(Self.policies.map { _ in "---|" }.joined())\n"
        for visitor in Visitor.allCases {
            let cells = try Self.policies.map { " \(try Self.outcome(visitor, $0.1)) |" }
            table += "| \(visitor.rawValue) |\(cells.joined())\n"
        }
        let text = try String(decoding: Data(contentsOf: Self.path), as: UTF8.self)
        let before = try #require(text.firstRange(of: Self.begin)), after = try #require(text.firstRange(of: Self.end))
        if ProcessInfo.processInfo.environment["POSTERN_WRITE_DOCS"] != nil {
            return try Data((text[..<before.upperBound] + table + text[after.lowerBound...]).utf8).write(to: Self.path)
        }
        #expect(text[before.upperBound..<after.lowerBound] == table, "run 'make documents' and look at what changed")
    }
}
