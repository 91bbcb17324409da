public import Database
public import Model

/// Revocations, in order, for the part of the server that keeps connections open.
///
/// Every request looks its credential up, so revoking needs no list for requests. A WebSocket is admitted once: the
/// server reads here which connections to close, also if another process (`postern token revoke`) added the revocation.
public struct Revocation: Sendable, Equatable {
    /// How long revocations are kept, in seconds: a day, far longer than the server needs to read them.
    private static let keptSeconds: Int64 = 86_400

    public enum Subject: Sendable, Equatable {
        /// Everything of an account.
        case user(String)
        /// One sign-in or API token.
        case credential(String)
        /// A person's membership in one organisation.
        case member(_ userId: String, _ organisationId: String)
    }

    public let number: Int
    public let subject: Subject

    private init(_ row: Row) throws {
        number = try row.integer("number")
        let user = try row.optionalText("user_id")
        if let credential = try row.optionalText("credential_id") {
            subject = .credential(credential)
        } else if let organisation = try row.optionalText("organisation_id") {
            subject = .member(user ?? "", organisation)
        } else {
            subject = .user(user ?? "")
        }
    }

    static func add(_ subject: Subject, now: Timestamp, in database: Transaction) throws {
        try database.run("DELETE FROM revocations WHERE at < ?", now.advanced(bySeconds: -keptSeconds))
        let insert: StaticString =
            "INSERT INTO revocations (user_id, credential_id, organisation_id, at) VALUES (?, ?, ?, ?)"
        switch subject {
        case .user(let id): try database.run(insert, id, DatabaseValue.null, DatabaseValue.null, now)
        case .credential(let id): try database.run(insert, DatabaseValue.null, id, DatabaseValue.null, now)
        case .member(let user, let organisation): try database.run(insert, user, DatabaseValue.null, organisation, now)
        }
    }

    /// The account is valid again. Its credentials that ended stay ended.
    static func takeBack(userId: String, in database: Transaction) throws {
        try database.run(
            "DELETE FROM revocations WHERE user_id = ? AND credential_id IS NULL AND organisation_id IS NULL", userId)
    }

    /// The credential is valid again. A server that starts reads all stored revocations.
    static func takeBack(credential id: String, in database: Transaction) throws {
        try database.run("DELETE FROM revocations WHERE credential_id = ?", id)
    }

    /// The person may host in this organisation again. A server that starts reads all stored revocations and would
    /// otherwise close the person's session.
    static func takeBack(memberId: String, in scope: TenantScope) throws {
        try scope.run(
            "DELETE FROM revocations WHERE organisation_id = :organisation AND user_id = ? AND credential_id IS NULL",
            memberId)
    }

    /// Adds credentials that have expired, for the connections they opened.
    /// - Parameter since: the time of the last call.
    public static func addExpired(since: Timestamp, now: Timestamp, in database: Transaction) throws {
        let ids = try database.rows(
            """
            SELECT id FROM credentials WHERE good_until > ? AND good_until <= ?
            """, since, now
        ) { try $0.text("id") }
        for id in ids { try add(.credential(id), now: now, in: database) }
    }

    public static func list(after number: Int, in database: Transaction) throws -> [Revocation] {
        try database.rows(
            "SELECT * FROM revocations WHERE number > ? ORDER BY number LIMIT 1000", number, decode: Revocation.init)
    }
}
