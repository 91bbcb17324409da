import Database
import Model
import Testing

@testable import Storage

@Suite struct TrialTests {
    @Test func aListIsFullAtThePlansLimit() async throws {
        let temporary = try TemporaryDatabase()
        try await temporary.database.write { connection in
            let user = try User.create(username: "ana", plan: .free, now: .now(), in: connection)
            let scope = connection.tenant(user.id)
            let allowance = Caller.command(as: user).allowance(
                in: try user.personalOrganisation(in: connection), connection)
            let list = try TrialList.named("all", in: scope)
            for url in ["a", "b"] { try list.add(url, allowance, in: scope) }
            #expect(throws: Refusal.self) { try list.add("c", allowance, in: scope) }
            #expect(try list.links(in: scope) == ["a", "b"])
        }
    }
}
