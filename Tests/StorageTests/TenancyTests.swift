import Database
import Model
import Testing

@testable import Storage

/// A query on an organisation's rows cannot be made without naming the organisation.
@Suite struct TenancyTests {
    private let temporary: TemporaryDatabase
    private var database: Database { temporary.database }
    private let now = Timestamp(milliseconds: 1_800_000_000_000)

    init() throws { temporary = try TemporaryDatabase() }

    private func failure(_ body: @escaping @Sendable (Transaction) throws -> Void) async -> String {
        do {
            try await database.write { try body($0) }
            return ""
        } catch { return (error as? StorageError)?.message ?? "\(error)" }
    }

    @Test func aPlainQueryOnATenantsTableIsRefusedBeforeItRuns() async throws {
        let read = await failure { _ = try $0.rows("SELECT id FROM share_sessions LIMIT 1") { try $0.text("id") } }
        #expect(read.contains("share_sessions belongs to organisations"))
        for sql: StaticString in [
            "DELETE FROM audit_events", "UPDATE usage_entries SET amount = 0",
            "INSERT INTO roles (id) VALUES ('x')", "DELETE FROM data_keys WHERE organisation_id = 'x'",
        ] {
            #expect(await failure { try $0.run(sql) }.contains("belongs to organisations"))
        }
        // Also where it hides in a subquery.
        let hidden = await failure {
            _ = try $0.first("SELECT (SELECT COUNT(*) FROM connections) AS n FROM users") { try $0.integer("n") }
        }
        #expect(hidden.contains("connections belongs"))
    }

    @Test func aScopedQueryMustNameTheOrganisation() async {
        let without = await failure {
            try $0.tenant("x").run("UPDATE share_sessions SET session_name = NULL WHERE id = ?", "y")
        }
        #expect(without.contains("does not name :organisation"))
    }

    @Test func whatWasPreparedInAScopeIsNotAllowedOutsideOfIt() async {
        let sql: StaticString = "SELECT COUNT(*) AS n FROM roles WHERE organisation_id = :organisation"
        let outcome = await failure {
            $0.tenant("x").lock()
            #expect(try $0.tenant("x").first(sql) { try $0.integer("n") } == 0)
            _ = try $0.first(sql) { try $0.integer("n") }
        }
        #expect(outcome.contains("roles belongs"))
    }

    /// Two transactions that count at once must not both find room: what is counted is locked first.
    @Test func whatIsCountedIsLockedFirst() async {
        let count: @Sendable (Transaction) throws -> Void = {
            _ = try $0.tenant("x").first("SELECT COUNT(*) AS n FROM roles WHERE organisation_id = :organisation") {
                try $0.integer("n")
            }
        }
        #expect(await failure(count).contains("counts without a lock"))
        let locked = await failure {
            $0.tenant("x").lock()
            try count($0)
        }
        #expect(locked == "")
        // The lock ends with its transaction, also for a statement that is prepared already.
        #expect(await failure(count).contains("counts without a lock"))
    }

    @Test func parametersKeepTheirOrderAroundTheOrganisation() async throws {
        try await database.write { connection in
            let found = try connection.tenant("org").first(
                "SELECT ? AS a, :organisation AS b, ? AS c, :organisation AS d, ? AS e", "1", "2", "3"
            ) { try [$0.text("a"), $0.text("b"), $0.text("c"), $0.text("d"), $0.text("e")] }
            #expect(found == ["1", "org", "2", "org", "3"])
        }
    }

    @Test func everyTableOfATenantHasItsOrganisation() async throws {
        for table in Database.tenantTables {
            let columns = try await database.read { connection in
                try connection.rows("SELECT name FROM pragma_table_info(?)", table) { try $0.text("name") }
            }
            #expect(columns.contains("organisation_id"), "\(table)")
        }
    }

    /// Whatever has the column is guarded, or is one of those that lead from a person to the organisations.
    @Test func noTableWithAnOrganisationIsForgotten() async throws {
        let tables = try await database.read { connection in
            try connection.rows(
                """
                SELECT m.name AS name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
                WHERE m.type = 'table' AND c.name = 'organisation_id'
                """
            ) { try $0.text("name") }
        }
        let known: Set = ["memberships", "api_tokens", "sign_ins", "revocations"]
        #expect(Set(tables) == Database.tenantTables.union(known))
    }

    @Test func removingAnAccountTakesEverythingItOwnsAlong() async throws {
        let ana = try await temporary.account("ana", now: now)
        let (ben, now) = (try await temporary.account("ben", now: now), self.now)
        let session = try await database.write {
            try ShareSession.start(host: ana, publicKey: "k", name: nil, now: now, in: $0)
        }
        try await database.write { try ana.user.remove(in: $0) }
        let left = try await database.read { connection in
            try connection.across(.upkeep).first("SELECT COUNT(*) AS n FROM share_sessions WHERE id = ?", session.id) {
                try $0.integer("n")
            }
        }
        #expect(left == 0)
        #expect(try await database.read { try User.find(id: ben.user.id, in: $0) } == ben.user)
    }
}
