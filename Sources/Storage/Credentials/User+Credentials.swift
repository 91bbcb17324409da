public import Database
public import Model

/// Changes of an account that affect its credentials.
extension User {
    /// Sets the address. A new address is used only after it was verified.
    public func setEmail(_ email: String?, verifiedAt: Timestamp?, in database: Transaction) throws {
        if let email, verifiedAt != nil, let other = try User.find(verifiedEmail: email, in: database), other.id != id {
            throw Refusal(.nameTaken, "Another account has the address \(email).")
        }
        // Links in the old mailbox are no longer valid.
        if verifiedAt != nil { try OneTimeLink.cancelAll(.resetPassword, userId: id, now: .now(), in: database) }
        try database.run(
            "UPDATE users SET email = ?, email_verified_at = ? WHERE id = ?", email?.lowercased(), verifiedAt, id)
    }

    /// Disables the account: its sign-ins end, its tokens are refused, its connections are closed. No data is lost.
    /// - Throws: ``Refusal`` `.lastAdministrator`; ``StorageError``.
    public func disable(now: Timestamp, in database: Transaction) throws {
        database.lock(.appliance)
        try database.run("UPDATE users SET disabled_at = ? WHERE id = ? AND disabled_at IS NULL", now, id)
        try SignIn.endAll(userId: id, except: nil, .disabled, now: now, in: database)
        try Revocation.add(.user(id), now: now, in: database)
        try mustLeaveAnAdministrator(in: database)
    }

    /// Reverses ``disable(now:in:)``. Sign-ins stay ended.
    public func enable(in database: Transaction) throws {
        try database.run("UPDATE users SET disabled_at = NULL WHERE id = ?", id)
        // A server that starts reads all stored revocations.
        try Revocation.takeBack(userId: id, in: database)
    }

    func mustLeaveAnAdministrator(in database: Transaction) throws {
        guard isAdmin, try !Self.hasAdministrator(in: database) else { return }
        throw Refusal(
            .lastAdministrator,
            "\(username) is the last administrator; create another one first with 'postern user add NAME --admin'.")
    }
}
