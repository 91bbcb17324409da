import CSQLite
import Database
import Model
import Storage
import TestSupport
import Testing

/// A database in a directory of its own, removed at the end.
final class TemporaryDatabase: Sendable {
    let directory: String
    let database: Database

    init() throws {
        directory = try TemporaryDirectory.make()
        database = try Database(stateDirectory: directory)
    }

    /// An account and its owner at the command line: somebody with every permission in the own organisation.
    func account(_ name: String, _ plan: Plan = .enterprise, now: Timestamp) async throws -> Caller {
        let user = try await database.write { try User.create(username: name, plan: plan, now: now, in: $0) }
        return .command(as: user)
    }

    /// An organisation of several people, the first of whom is its owner.
    func team(
        _ name: String, _ people: [(Caller, Role.BuiltIn)], plan: Plan = .enterprise, now: Timestamp
    ) async throws -> Organisation {
        try await database.write { connection in
            let made = try Organisation.create(name: name, owner: people[0].0.user, now: now, in: connection)
            try made.setPlan(plan, by: .server, now: .now(), in: connection)
            let owner = try people[0].0.member(of: made.id, may: .tenantManageMembers, in: connection)
            for (person, role) in people.dropFirst() {
                let (_, secret) = try Invitation.create(
                    email: nil, role: Role(role), by: owner, now: now, in: connection.tenant(made.id))
                _ = try Invitation.accept(secret: secret, user: person.user, now: now, in: connection)
            }
            return made
        }
    }

    /// Runs something as many times at once as asked, and counts how often it was not refused.
    func race(_ count: Int, _ body: @escaping @Sendable (Transaction) throws -> Void) async -> Int {
        let database = self.database
        return await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<count {
                group.addTask { (try? await database.write { try body($0) }) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
    }

    deinit {
        database.close()
        TemporaryDirectory.remove(directory)
    }
}

extension TemporaryDatabase {
    /// Changes the file as somebody who has it and no key would: with a connection of its own.
    func tamper(_ sql: String, isRefused: String? = nil) throws {
        var handle: OpaquePointer?
        #expect(sqlite3_open("\(directory)/postern.db", &handle) == SQLITE_OK)
        defer { sqlite3_close(handle) }
        sqlite3_busy_timeout(handle, 5000)
        let result = sqlite3_exec(handle, sql, nil, nil, nil)
        if let isRefused {
            #expect(String(cString: sqlite3_errmsg(handle)).contains(isRefused))
        } else {
            #expect(result == SQLITE_OK, "\(String(cString: sqlite3_errmsg(handle)))")
        }
    }

    func dropTriggers() throws {
        try tamper("DROP TRIGGER audit_events_are_not_changed; DROP TRIGGER audit_events_are_not_removed")
    }
}
