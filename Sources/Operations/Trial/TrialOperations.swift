public import Database
import Model
public import Storage

/// Lists of links.
public struct TrialOperations: Sendable {
    private let database: Database

    public init(database: Database) { self.database = database }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func add(_ url: String, to list: String, by caller: Caller) async throws {
        try await database.write { connection in
            let member = try caller.member(may: .trialWrite, in: connection)
            let scope = connection.tenant(member.organisation.id)
            try TrialList.named(list, in: scope)
                .add(url, caller.allowance(in: member.organisation, connection), in: scope)
            try Audit.record(.trialLinkAdded, target: url, by: caller, now: .now(), in: scope)
        }
    }

    /// - Throws: ``Refusal``; ``StorageError``.
    public func links(of list: String, by caller: Caller) async throws -> [String] {
        try await database.write { connection in
            let member = try caller.member(may: .trialWrite, in: connection)
            let scope = connection.tenant(member.organisation.id)
            return try TrialList.named(list, in: scope).links(in: scope)
        }
    }
}
