public import Database
public import Model

/// An account's identity at another provider: GitHub, Google, or any OpenID provider.
public struct ExternalIdentity: Sendable {
    /// The provider's address, or its issuer.
    public let provider: String
    /// The provider's own id for the person. It never changes.
    public let subject: String
    public let email: String?
    /// Whether the provider says that the address was verified.
    public let isEmailVerified: Bool
    /// The person's name at the provider, used as a suggestion for the account's name.
    public let suggestedName: String

    public init(provider: String, subject: String, email: String?, isEmailVerified: Bool, suggestedName: String) {
        self.provider = provider
        self.subject = subject
        self.email = email?.lowercased()
        self.isEmailVerified = isEmailVerified
        self.suggestedName = suggestedName
    }

    /// The account with this identity.
    public func user(in database: Transaction) throws -> User? {
        let id = try database.first(
            "SELECT user_id FROM identities WHERE provider = ? AND subject = ?", provider, subject
        ) { try $0.text("user_id") }
        return try id.flatMap { try User.find(id: $0, in: database) }
    }

    /// Returns the account with this identity, and creates it if there is none. An account with the same verified
    /// address belongs to this person, if the provider has verified the address too.
    /// - Parameter mayRegister: whether strangers get an account.
    /// - Throws: ``Refusal`` `.registration`; ``StorageError``.
    public func signIn(mayRegister: Bool, now: Timestamp, in database: Transaction) throws -> User {
        if let known = try user(in: database) { return known }
        if isEmailVerified, let email, let same = try User.find(verifiedEmail: email, in: database) {
            guard same.disabledAt == nil else { throw Refusal(.notAllowed, "This account is disabled.") }
            try link(to: same, now: now, in: database)
            let actor = Audit.Actor(id: same.id, name: same.username, credential: provider, address: "")
            try Audit.record(.identityLinked, target: provider, actor: actor, now: now, in: database.tenant(same.id))
            return same
        }
        guard mayRegister else {
            throw Refusal(
                .registration, "Registration is closed on this server; ask its owner for an invitation.")
        }
        let user = try User.create(username: try freeName(in: database), now: now, in: database)
        if let email { try user.setEmail(email, verifiedAt: isEmailVerified ? now : nil, in: database) }
        try link(to: user, now: now, in: database)
        return try User.find(id: user.id, in: database) ?? user
    }

    private func link(to user: User, now: Timestamp, in database: Transaction) throws {
        try database.run(
            "INSERT INTO identities (provider, subject, user_id, email, created_at) VALUES (?, ?, ?, ?, ?)", provider,
            subject, user.id, email, now)
    }

    /// The suggested name, or the suggested name with the first free number appended.
    private func freeName(in database: Transaction) throws -> String {
        let letters = suggestedName.unicodeScalars.filter {
            $0.isASCII
                && ($0.properties.isAlphabetic || $0.properties.numericType != nil || ".-_".unicodeScalars.contains($0))
        }
        // A username begins with a letter or a digit.
        let wish = String(String.UnicodeScalarView(letters.drop { ".-_".unicodeScalars.contains($0) })).prefix(56)
        let base = wish.isEmpty ? "person" : String(wish)
        for number in 1..<10_000 {
            let name = number == 1 ? base : "\(base)-\(number)"
            if try !User.isTaken(name, in: database) { return name }
        }
        return "\(base)-\(RandomText.makeReadable(letters: 7))"
    }

    /// An identity as shown to the account's owner.
    public struct Listed: Sendable {
        public let provider, subject: String
        public let email: String?
        public let createdAt: Timestamp
    }

    /// The identities through which an account can sign in.
    public static func list(of userId: String, in database: Transaction) throws -> [Listed] {
        try database.rows("SELECT * FROM identities WHERE user_id = ? ORDER BY created_at LIMIT 50", userId) {
            Listed(
                provider: try $0.text("provider"), subject: try $0.text("subject"),
                email: try $0.optionalText("email"), createdAt: try $0.time("created_at"))
        }
    }

    /// Removes an identity. Removing it twice changes nothing.
    public static func remove(
        provider: String, subject: String, of userId: String, in database: Transaction
    ) throws {
        try database.run(
            "DELETE FROM identities WHERE provider = ? AND subject = ? AND user_id = ?", provider, subject, userId)
    }
}
