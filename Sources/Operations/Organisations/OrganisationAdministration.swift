public import Database
import Model
public import Storage

/// Operations of the server's owner on all organisations.
public struct OrganisationAdministration: Sendable {
    private let database: Database
    private let actor: Audit.Actor

    /// - Parameter actor: recorded in the audit log as the actor.
    public init(database: Database, actor: Audit.Actor) {
        self.database = database
        self.actor = actor
    }

    /// Organisations by name, in pages.
    /// - Parameter after: name and id of the last one of the previous page. Empty for the first page.
    /// - Throws: ``StorageError``.
    public func list(after: (String, String), limit: Int) async throws -> [Organisation] {
        try await database.read { try Organisation.list(after: after, limit: limit, in: $0) }
    }

    /// Changes an organisation's plan. Running sessions continue.
    /// - Parameter name: a name or an id.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func setPlan(_ plan: Plan, of name: String) async throws {
        try await database.write { [actor] connection in
            let found = try Organisation.named(name, in: connection)
            try found.setPlan(plan, by: actor, now: .now(), in: connection)
        }
    }

    /// The usage ledger's sums by hour.
    /// - Parameters:
    ///   - name: a name or an id.
    ///   - hours: the number of hours, including the current one.
    /// - Throws: ``Refusal``; ``StorageError``.
    public func usage(of name: String, hours: Int64) async throws -> [UsageLedger.Sum] {
        let now = UsageLedger.hour(of: .now())
        return try await database.read {
            try UsageLedger.sums(
                from: now - hours + 1, to: now, in: $0.tenant(try Organisation.named(name, in: $0).id))
        }
    }

    /// Open invitations of all organisations, newest first.
    /// - Throws: ``StorageError``.
    public func invitations() async throws -> [(invitation: Invitation, organisation: String)] {
        try await database.read { try Invitation.listEverywhere(now: .now(), in: $0) }
    }

    /// - Throws: ``Refusal`` `.notFound`; ``StorageError``.
    public func revokeInvitation(_ id: String, to organisation: String) async throws {
        try await database.write { [actor] connection in
            let (now, scope) = (Timestamp.now(), connection.tenant(organisation))
            try Invitation.revoke(id: id, now: now, in: scope)
            try Audit.record(.invitationRevoked, target: id, actor: actor, now: now, in: scope)
        }
    }
}
