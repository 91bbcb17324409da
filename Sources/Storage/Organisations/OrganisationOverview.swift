public import Database

/// The current activity in an organisation.
public struct OrganisationOverview: Sendable, Equatable {
    public let members: Int
    /// Share sessions that have not ended.
    public let openSessions: Int
    /// The number of guests with a seat in them.
    public let guests: Int

    /// - Throws: ``StorageError``.
    public init(in scope: TenantScope) throws {
        let found = try scope.first(
            """
            SELECT (SELECT COUNT(*) FROM memberships WHERE organisation_id = :organisation) AS members,
                (SELECT COUNT(*) FROM share_sessions WHERE organisation_id = :organisation AND ended_at IS NULL) AS sessions,
                (SELECT COUNT(*) FROM connections WHERE organisation_id = :organisation AND left_at IS NULL) AS guests
            """
        ) { (try $0.integer("members"), try $0.integer("sessions"), try $0.integer("guests")) }
        (members, openSessions, guests) = found ?? (0, 0, 0)
    }
}
