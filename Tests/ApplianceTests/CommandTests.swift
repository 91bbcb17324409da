import Testing

@testable import Appliance

@Suite struct CommandTests {
    private let postern: CommandLineUnderTest

    init() throws { postern = try CommandLineUnderTest() }

    private var state: String { "\(postern.directory)/state" }

    @Test func accountsAreMadeListedAndRemoved() async throws {
        let made = await postern("user", "add", "ana", "--state", state, "--json")
        #expect(made.status == 0 && made.output.contains("\"username\":\"ana\"") && made.output.contains("pst_"))
        let again = await postern("user", "add", "ana", "--state", state)
        #expect(again.status == 1 && again.error.hasPrefix("postern: ") && again.error.contains("ana"))
        let listed = await postern("user", "list", "--state", state)
        #expect(listed.output.hasPrefix("ana\tenterprise\t"))
        let disabled = await postern("user", "disable", "ana", "--state", state)
        #expect(disabled.status == 0)
        let removed = await postern("user", "remove", "ana", "--yes", "--state", state)
        #expect(removed.status == 0)
        let gone = await postern("user", "remove", "ana", "--yes", "--state", state)
        #expect(gone.status == 1 && gone.error.contains("no user named ana"))
    }

    @Test func plansAreSetByNameAndWrittenIntoBothLogs() async throws {
        _ = await postern("user", "add", "ana", "--state", state)
        let set = await postern("organisation", "set-plan", "ana", "team", "--state", state)
        #expect(set.status == 0)
        for log in ["ana", "server"] {
            let arguments = log == "server" ? [] : ["--organisation", "ana"]
            let audit = await run(["audit", "list", "--state", state] + arguments)
            #expect(audit.contains("plan.set"), "\(log): \(audit)")
        }
        let wrong = await postern("organisation", "set-plan", "ana", "gold", "--state", state)
        #expect(wrong.status == 2 && wrong.error.contains("free, pro, team, enterprise, admin"))
    }

    private func run(_ arguments: [String]) async -> String {
        let output = Captured()
        await Output.$write.withValue({ text, _ in output.add(text) }) { _ = await Postern.run(arguments) }
        return output.text
    }

    @Test func helpIsNoErrorAndWrongUsageIsTwo() async {
        let help = await postern("user", "add", "--help")
        #expect(help.status == 0 && help.output.contains("Example:"))
        let unknown = await postern("user", "frobnicate")
        #expect(unknown.status == 2)
    }
}
