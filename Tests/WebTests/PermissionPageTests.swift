import CertificateAuthorities
import Database
import FoundationEssentials
import Identity
import Logging
import NIOPosix
import Storage
import Telemetry
import Testing
import TransportSecurity

@testable import Web

/// docs/permissions.md is made from the routes and the roles; a test over HTTP then holds the server to it.
@Suite struct PermissionPageTests {
    private static let path = URL(filePath: #filePath).deletingLastPathComponent().appending(
        path: "../../docs/permissions.md"
    ).standardized.path

    @Test func thePageIsWhatTheCodeSays() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "postern-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let database = try Database(stateDirectory: directory)
        defer { database.close() }
        // A page of debug builds alone.
        let routes = await TestServer.make(database, directory).descriptions.filter {
            $0.path != "/administration/components"
        }
        let page = Self.page(routes)
        if ProcessInfo.processInfo.environment["POSTERN_WRITE_DOCS"] != nil {
            try Data(page.utf8).write(to: URL(filePath: Self.path))
        }
        let written = try String(decoding: Data(contentsOf: URL(filePath: Self.path)), as: UTF8.self)
        #expect(written == page, "run 'make documents' and look at what changed")
    }

    private static func page(_ routes: [RouteDescription]) -> String {
        let roles = Role.BuiltIn.allCases
        let keys = PermissionKey.ofOrganisations.map { key in
            let marks = roles.map { $0.permissions.contains(key) ? " yes |" : " |" }.joined()
            return "| `\(key.rawValue)` | \(key.explanation) |\(marks)"
        }
        return """
            # Permissions

            Made from the code by `make documents`; a test compares them, and another walks every route below as a stranger, as each
            role, and as a member of another organisation.

            ## What roles may do

            An organisation can make roles of its own from these. Nobody can grant what they lack, and only owners make owners. Administrators
            of the server (`postern user add NAME --admin`) have the last permission, and none in other people's organisations.

            | permission | what it allows |\(roles.map { " \($0.rawValue) |" }.joined())
            |---|---|\(roles.map { _ in "---|" }.joined())
            \(keys.joined(separator: "\n"))
            | `appliance:manage` | \(PermissionKey.applianceManage.explanation) |\(roles.map { _ in " |" }.joined())

            ## Who may use which route

            `anyone`: without signing in. `credential`: everybody who has an account. `account`: the same, but not with an API token that was
            made with scopes. A permission: members of the organisation that the path
            names, or of the credential's own, whose role has it; others get 404 where they are no members and 403 where they are.
            `administrator`: of this server.

            | method | path | who |
            |---|---|---|
            \(rows(routes.filter { !$0.isPage }))

            ## Who may see which page

            With the cookie of a sign-in; others are sent to sign in first.

            | method | path | who |
            |---|---|---|
            \(rows(routes.filter(\.isPage)))

            """
    }

    private static func rows(_ routes: [RouteDescription]) -> String {
        routes.map { "| \($0.method) | `\($0.path)` | \($0.access.text) |" }.joined(separator: "\n")
    }
}

/// A server that listens nowhere, for what can be asked of its parts.
enum TestServer {
    static func make(_ database: Database, _ directory: String) async -> WebServer {
        let parts = WebParts(
            database: database, hasher: PasswordHasher(), mail: nil, version: "1.2.3", metrics: ServerMetrics(),
            tls: nil, challenges: ChallengeAnswers(), certificate: { nil },
            backups: { BackupReport(newest: nil, interval: nil, problem: nil) }, stateDirectory: directory,
            reserveBytes: 0, logger: Logger(label: "test"))
        return await WebServer(
            configuration: WebConfiguration(listeners: []), parts: parts,
            group: MultiThreadedEventLoopGroup.singleton, onRunning: { _ in })
    }
}
