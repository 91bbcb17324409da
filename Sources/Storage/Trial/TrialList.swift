public import Database
import Model

/// A list of links; the row that links belong to.
public struct TrialList: Sendable {
    /// Links that one answer shows.
    private static let shown = 100

    public let id, name: String

    init(_ row: Row) throws {
        id = try row.text("id")
        name = try row.text("name")
    }

    /// The organisation's list of this name; made where it is missing.
    /// - Throws: ``StorageError``.
    public static func named(_ name: String, in scope: TenantScope) throws -> TrialList {
        try NameRule.check(name, "A list's name")
        let found = try scope.first(
            "SELECT * FROM trial_lists WHERE organisation_id = :organisation AND name = ?", name, decode: TrialList.init
        )
        if let found { return found }
        let made = try scope.first(
            "INSERT INTO trial_lists (id, organisation_id, name) VALUES (?, :organisation, ?) RETURNING *",
            Identifier.make(), name, decode: TrialList.init)
        guard let made else { throw StorageError(.failed, "the new list was not returned") }
        return made
    }

    /// Adds a link if the plan allows one more.
    /// - Throws: ``Refusal`` `.trialFull`; ``StorageError``.
    public func add(_ url: String, _ allowance: Allowance, in scope: TenantScope) throws {
        scope.lock()
        let count =
            try scope.first(
                "SELECT COUNT(*) AS found FROM trial_links WHERE organisation_id = :organisation AND list_id = ?", id
            ) { try $0.integer("found") } ?? 0
        if let (limit, plan) = allowance[.trialLinks], count >= limit {
            throw Refusal(.trialFull, "The list is full.", limit: limit, current: count, plan: plan)
        }
        try scope.run(
            "INSERT INTO trial_links (id, organisation_id, list_id, url) VALUES (?, :organisation, ?, ?)",
            Identifier.make(), id, url)
    }

    /// - Throws: ``StorageError``.
    public func links(in scope: TenantScope) throws -> [String] {
        try scope.rows(
            "SELECT url FROM trial_links WHERE organisation_id = :organisation AND list_id = ? ORDER BY id LIMIT ?", id,
            Self.shown
        ) { try $0.text("url") }
    }
}
