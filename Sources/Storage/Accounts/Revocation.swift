public import Database
public import Model

/// What stopped being valid, in order, for the part of the server that keeps connections open.
///
/// Every request looks its credential up, so that revoking needs no list there. A WebSocket was let in before: the server
/// reads here whom to cut off, also when another process (`postern token revoke`) did it.
public struct Revocation: Sendable, Equatable {
    /// A day, in seconds: far longer than the server takes to read them.
    private static let keptSeconds: Int64 = 86_400

    public enum Subject: Sendable, Equatable {
        /// Everything of an account.
        case user(String)
        /// One sign-in or API token.
        case credential(String)
        /// A person's part in one organisation.
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

    /// The account is good again; its credentials that ended stay so.
    static func takeBack(userId: String, in database: Transaction) throws {
        try database.run(
            "DELETE FROM revocations WHERE user_id = ? AND credential_id IS NULL AND organisation_id IS NULL", userId)
    }

    /// The credential is good again. A server that starts reads what is kept from the beginning.
    static func takeBack(credential id: String, in database: Transaction) throws {
        try database.run("DELETE FROM revocations WHERE credential_id = ?", id)
    }

    /// The person may host in this organisation again. A server that starts reads what is kept from the beginning, and would cut the
    /// person's session off otherwise.
    static func takeBack(memberId: String, in scope: TenantScope) throws {
        try scope.run(
            "DELETE FROM revocations WHERE organisation_id = :organisation AND user_id = ? AND credential_id IS NULL",
            memberId)
    }

    /// Credentials that end by themselves, for the connections they opened.
    /// - Parameter since: when this was asked last.
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
