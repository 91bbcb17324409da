import Database
import Identity
import Limits
import Logging
import Model
public import Storage

/// Passwords and addresses: changing them, verifying them, and recovering an account without them.
extension AccountOperations {
    /// - Throws: ``Refusal`` if the old password is wrong.
    public func changePassword(old: String?, new: String, of caller: Caller, from source: Source) async throws {
        let id = caller.user.id
        try await confirm(old, of: caller)
        let hash = try await hasher.hash(try AccountRules.password(new))
        try await database.write { connection in
            let now = Timestamp.now()
            try Password.set(hash: hash, userId: id, keeping: caller.credential.id, now: now, in: connection)
            try Audit.record(
                .passwordChanged, target: caller.user.username, by: caller, now: now, in: connection.tenant(id))
        }
        await mail.warn(userId: id, "Your password was changed. Your other sign-ins were ended.")
    }

    /// Sends a reset link to a verified address. The response is the same whether or not an account has this address.
    public func askForReset(email: String, from source: Source) async throws {
        let email = try AccountRules.email(email)
        try countAttempt(resets, "address \(source.address)", "password resets from one address")
        // Over the limit, or without mail: return without an error, as for an unknown address.
        guard resets.begin("account \(email)") == .go, mail.isOn else { return }
        // Return before the account is looked up: neither the response nor its duration reveals whether there is one.
        mail.later { await sendReset(to: email) }
    }

    private func sendReset(to email: String) async {
        do {
            let found = try await database.read { try User.find(verifiedEmail: email, in: $0) }
            guard let found, found.disabledAt == nil else { return }
            let secret = try await database.write {
                try OneTimeLink.create(.resetPassword, userId: found.id, now: .now(), in: $0)
            }
            await mail.reset(to: email, secret: secret, username: found.username)
        } catch { logger.error("cannot create a reset link", metadata: ["error": "\(error)"]) }
    }

    /// Sets a password with a link's secret. If there already was a password, all sign-ins end and tokens are revoked.
    public func reset(secret: String, password: String, from source: Source) async throws -> User {
        _ = try await database.read { try OneTimeLink.find(.resetPassword, secret: secret, now: .now(), in: $0) }
        let hash = try await hasher.hash(try AccountRules.password(password))
        let user = try await database.write { connection -> User in
            let now = Timestamp.now()
            let (user, _) = try OneTimeLink.use(.resetPassword, secret: secret, now: now, in: connection)
            let isFirst = try Password.hash(userId: user.id, in: connection) == nil
            try Password.set(hash: hash, userId: user.id, keeping: nil, now: now, in: connection)
            // The owner of the account does not know which tokens others created with the old password.
            if !isFirst { try APIToken.revokeAll(userId: user.id, now: now, in: connection) }
            let actor = Audit.Actor(
                id: user.id, name: user.username, credential: "reset link", address: source.address,
                userAgent: source.client)
            try Audit.record(
                .passwordReset, target: user.username, actor: actor, now: now, in: connection.tenant(user.id))
            return user
        }
        await mail.warn(
            userId: user.id, "Your password was reset with a link. All your sign-ins and tokens were revoked.")
        return user
    }

    /// Only the signed-in account itself can verify its address: if another person follows the link in good faith, that
    /// must not verify the address.
    public func verifyEmail(secret: String, by caller: Caller) async throws {
        let old = caller.user.emailVerifiedAt == nil ? nil : caller.user.email
        let email = try await database.write { connection in
            let now = Timestamp.now()
            let (user, email) = try OneTimeLink.use(.verifyEmail, secret: secret, now: now, in: connection)
            guard user.id == caller.user.id else {
                throw Refusal(.link, "This link is for the account \(user.username); sign in with that account.")
            }
            try user.setEmail(email, verifiedAt: now, in: connection)
            try Audit.record(
                .emailVerified, target: email ?? "", by: caller, now: now, in: connection.tenant(user.id))
            return email
        }
        if let old, old != email {
            await mail.tell(
                old, caller.user.username, "The address of your account was changed from this one to \(email ?? "").")
        }
    }

    /// Sets an address. It is used only after a link in a mail to it was followed.
    /// - Throws: ``Refusal`` if the password is wrong, or if there is no mail server.
    public func setEmail(_ email: String, password: String?, of caller: Caller) async throws {
        let email = try AccountRules.email(email)
        guard mail.isOn else {
            throw Refusal(.mailOff, "This server does not send e-mail, so addresses cannot be verified.")
        }
        try await confirm(password, of: caller)
        try countAttempt(resets, "account \(caller.user.id)", "mails to the account \(caller.user.username)")
        let secret = try await database.write {
            try OneTimeLink.create(.verifyEmail, userId: caller.user.id, email: email, now: .now(), in: $0)
        }
        await mail.verification(to: email, secret: secret, username: caller.user.username)
        await mail.warn(userId: caller.user.id, "Somebody asked to change the address of your account to \(email).")
    }

    /// A person who only found an open browser does not know the password.
    private func confirm(_ password: String?, of caller: Caller) async throws {
        let id = caller.user.id
        guard let stored = try await database.read({ try Password.hash(userId: id, in: $0) }) else { return }
        try countAttempt(
            byAccount, "account \(id)", "password attempts for the account \(caller.user.username)", .account)
        guard try await hasher.check(password ?? "", against: stored).isRight else {
            throw Refusal(.passwordWrong, "The password is wrong.")
        }
        byAccount.reset("account \(id)")
    }
}
