import Database
public import Identity
import Model
public import Storage

/// Sign-in with another provider's identity.
extension AccountOperations {
    /// The account for a provider's identity. Creates an account if the owner allows registration.
    /// - Throws: ``Refusal`` `.registration`, `.notAllowed` for a disabled account; ``StorageError``.
    public func account(of person: ProvidedPerson, from provider: any Provider) async throws -> User {
        let identity = ExternalIdentity(
            provider: provider.authority, subject: person.subject,
            email: person.email.flatMap { AccountRules.isEmail($0) ? $0 : nil },
            isEmailVerified: person.isEmailVerified, suggestedName: person.username)
        let mayRegister = settings.registration == .open
        let (user, isKnown) = try await database.write { connection in
            let isKnown = try identity.user(in: connection) != nil
            return (try identity.signIn(mayRegister: mayRegister, now: .now(), in: connection), isKnown)
        }
        guard user.disabledAt == nil else { throw Refusal(.notAllowed, "This account is disabled.") }
        if !isKnown { await mail.warn(userId: user.id, "You can now sign in with \(provider.title).") }
        return user
    }

    /// Whether an account requires a second factor after its password or its provider's identity.
    /// - Throws: ``StorageError``.
    public func hasSecondFactor(_ user: User) async throws -> Bool {
        try await database.read { try SecondFactor.isOn(userId: user.id, in: $0) }
    }
}
