public import Database
public import Model

/// An organisation's own OpenID Connect issuer. Its members prove there who they are, in addition to their account.
///
/// The issuer belongs to the organisation, so it is believed for that organisation alone: it can sign nobody in to an
/// account, and its answer counts for one sign-in of a person who is a member already.
public struct SingleSignOn: Sendable, Equatable {
    /// How long a proof counts, in seconds: a working day.
    public static let seconds: Int64 = 12 * 3600

    public let organisationId: String
    /// As the issuer spells it.
    public let issuer: String
    public let clientId: String
    /// Whether members need it for everything in the organisation.
    public let isRequired: Bool
    /// Whether visitors of private tunnels need it.
    public let isForTunnels: Bool
    public let changedAt: Timestamp

    private init(_ row: Row) throws {
        organisationId = try row.text("organisation_id")
        issuer = try row.text("issuer")
        clientId = try row.text("client_id")
        isRequired = try row.flag("is_required")
        isForTunnels = try row.flag("is_for_tunnels")
        changedAt = try row.time("changed_at")
    }

    private static func place(_ organisation: String) -> Vault.Place {
        Vault.Place(table: "organisation_issuers", row: organisation, column: "secret")
    }

    // MARK: The issuer

    public static func find(in scope: TenantScope) throws -> SingleSignOn? {
        try scope.first(
            "SELECT * FROM organisation_issuers WHERE organisation_id = :organisation", decode: SingleSignOn.init)
    }

    /// The secret of the client's registration.
    public func secret(in scope: TenantScope) throws -> String {
        let sealed = try scope.first(
            "SELECT secret FROM organisation_issuers WHERE organisation_id = :organisation"
        ) { try $0.blob("secret") }
        guard let sealed else { return "" }
        return String(decoding: try Vault.open(sealed, at: Self.place(organisationId), in: scope), as: UTF8.self)
    }

    /// - Parameter secret: nil keeps the stored one.
    public static func set(
        issuer: String, clientId: String, secret: String?, isRequired: Bool, isForTunnels: Bool, now: Timestamp,
        in scope: TenantScope
    ) throws {
        let known = try find(in: scope)
        let secret = try secret ?? known?.secret(in: scope) ?? ""
        // Identities of another issuer are other people's.
        if known?.issuer != issuer { try forgetIdentities(in: scope) }
        try scope.run("DELETE FROM organisation_issuers WHERE organisation_id = :organisation")
        try scope.run(
            """
            INSERT INTO organisation_issuers (organisation_id, issuer, client_id, secret, is_required, is_for_tunnels, changed_at)
            VALUES (:organisation, ?, ?, ?, ?, ?, ?)
            """, issuer, clientId, try Vault.seal(Array(secret.utf8), at: place(scope.organisationId), in: scope),
            isRequired, isForTunnels, now)
        try mark(isRequired, in: scope)
    }

    public static func remove(in scope: TenantScope) throws {
        try scope.run("DELETE FROM organisation_issuers WHERE organisation_id = :organisation")
        try forgetIdentities(in: scope)
        try mark(false, in: scope)
    }

    /// Beside the organisation, where every check of a member sees it.
    private static func mark(_ isRequired: Bool, in scope: TenantScope) throws {
        try scope.transaction.run(
            "UPDATE organisations SET requires_single_sign_on = ? WHERE id = ?", isRequired, scope.organisationId)
    }

    private static func forgetIdentities(in scope: TenantScope) throws {
        try scope.run("DELETE FROM organisation_identities WHERE organisation_id = :organisation")
        try scope.run("DELETE FROM organisation_proofs WHERE organisation_id = :organisation")
    }

    // MARK: Proofs

    /// Records that a member has proved who they are.
    /// - Parameter subject: the issuer's name for the person. The first one of a member is kept.
    /// - Throws: ``Refusal`` `.signOnFailed` if it belongs to another member, or the member had another one.
    public static func prove(
        userId: String, signInId: String, subject: String, now: Timestamp, in scope: TenantScope
    ) throws {
        let known = try scope.first(
            "SELECT subject FROM organisation_identities WHERE organisation_id = :organisation AND user_id = ?", userId
        ) { try $0.text("subject") }
        let other = try scope.first(
            "SELECT user_id FROM organisation_identities WHERE organisation_id = :organisation AND subject = ?", subject
        ) { try $0.text("user_id") }
        guard known ?? subject == subject, other ?? userId == userId else {
            throw Refusal(
                .signOnFailed,
                "This is not the person who signed on with this account before; an owner can reset that in the member list."
            )
        }
        if known == nil {
            try scope.run(
                """
                INSERT INTO organisation_identities (organisation_id, user_id, subject, created_at)
                VALUES (:organisation, ?, ?, ?)
                """, userId, subject, now)
        }
        try scope.run(
            "DELETE FROM organisation_proofs WHERE organisation_id = :organisation AND (sign_in_id = ? OR ends_at < ?)",
            signInId, now)
        try scope.run(
            """
            INSERT INTO organisation_proofs (organisation_id, sign_in_id, user_id, ends_at) VALUES (:organisation, ?, ?, ?)
            """, signInId, userId, now.advanced(bySeconds: seconds))
    }

    /// When the proof of a sign-in ends; nil if there is none.
    public static func proofEnd(
        signInId: String, userId: String, now: Timestamp, in scope: TenantScope
    ) throws -> Timestamp? {
        try scope.first(
            """
            SELECT ends_at FROM organisation_proofs
            WHERE organisation_id = :organisation AND sign_in_id = ? AND user_id = ? AND ends_at > ?
            """, signInId, userId, now
        ) { try $0.time("ends_at") }
    }

    /// Whether a caller has proved who they are. A token or a machine counts if its owner ever has, and is still known.
    static func isProved(_ caller: Caller, now: Timestamp, in scope: TenantScope) throws -> Bool {
        switch caller.credential {
        case .command: return true
        case .apiToken, .machine:
            return try scope.first(
                "SELECT 1 AS found FROM organisation_identities WHERE organisation_id = :organisation AND user_id = ?",
                caller.user.id
            ) { try $0.integer("found") } != nil
        case .signIn(let id):
            return try proofEnd(signInId: id, userId: caller.user.id, now: now, in: scope) != nil
        }
    }

    /// Forgets whom a member is at the issuer: the next sign-on decides again.
    public static func forget(userId: String, in scope: TenantScope) throws {
        try scope.run(
            "DELETE FROM organisation_identities WHERE organisation_id = :organisation AND user_id = ?", userId)
        try scope.run("DELETE FROM organisation_proofs WHERE organisation_id = :organisation AND user_id = ?", userId)
    }
}

extension Caller {
    /// Whether this caller has signed on with the organisation's issuer.
    public func hasSignedOn(now: Timestamp, in scope: TenantScope) throws -> Bool {
        try SingleSignOn.isProved(self, now: now, in: scope)
    }
}
