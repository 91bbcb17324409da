public import Model

// The REST resources in the form of their JSON. Times are ISO 8601 in UTC.

/// The request body of `POST /sessions`.
public struct NewSession: Codable, Sendable {
    public var hostPublicKey: String
    public var sessionName: String?

    public init(hostPublicKey: String, sessionName: String? = nil) {
        self.hostPublicKey = hostPublicKey
        self.sessionName = sessionName
    }
}

/// A share session; `codes` is set only in lists of sessions.
public struct SessionResource: Codable, Sendable, Equatable {
    public var id: String
    public var hostUserId: String
    public var hostPublicKey: String
    @NullWhenAbsent public var sessionName: String?
    public var startedAt: String
    @NullWhenAbsent public var endedAt: String?
    public var codes: [CodeResource]?

    public init(
        id: String, hostUserId: String, hostPublicKey: String, sessionName: String?, startedAt: String,
        endedAt: String?,
        codes: [CodeResource]? = nil
    ) {
        self.id = id
        self.hostUserId = hostUserId
        self.hostPublicKey = hostPublicKey
        self._sessionName = .init(wrappedValue: sessionName)
        self.startedAt = startedAt
        self._endedAt = .init(wrappedValue: endedAt)
        self.codes = codes
    }
}

/// The request body of `POST /sessions/:id/codes`.
public struct NewCode: Codable, Sendable {
    public var permission: Permission
    public var maxUses: Int?
    public var expiresInMinutes: Int?

    public init(permission: Permission, maxUses: Int? = nil, expiresInMinutes: Int? = nil) {
        self.permission = permission
        self.maxUses = maxUses
        self.expiresInMinutes = expiresInMinutes
    }
}

/// A share code.
public struct CodeResource: Codable, Sendable, Equatable {
    public var code: String
    public var sessionId: String
    public var permission: Permission
    @NullWhenAbsent public var maxUses: Int?
    public var currentUses: Int
    @NullWhenAbsent public var expiresAt: String?
    public var revoked: Bool
    public var createdAt: String

    public init(
        code: String, sessionId: String, permission: Permission, maxUses: Int?, currentUses: Int, expiresAt: String?,
        revoked: Bool, createdAt: String
    ) {
        self.code = code
        self.sessionId = sessionId
        self.permission = permission
        self._maxUses = .init(wrappedValue: maxUses)
        self.currentUses = currentUses
        self._expiresAt = .init(wrappedValue: expiresAt)
        self.revoked = revoked
        self.createdAt = createdAt
    }
}

/// The response of `GET /codes/:code/validate`. It reveals about the host only what an invited person must know.
public struct CodeValidation: Codable, Sendable, Equatable {
    public struct Session: Codable, Sendable, Equatable {
        public var id: String
        @NullWhenAbsent public var sessionName: String?
        public var hostUsername: String

        public init(id: String, sessionName: String?, hostUsername: String) {
            self.id = id
            self._sessionName = .init(wrappedValue: sessionName)
            self.hostUsername = hostUsername
        }
    }

    public var valid: Bool
    public var permission: Permission?
    public var session: Session?
    public var error: String?

    public init(permission: Permission, session: Session) {
        valid = true
        self.permission = permission
        self.session = session
    }

    public init(error: String) {
        valid = false
        self.error = error
    }
}

/// The response of `POST /auth/token`; `expiresIn` is in seconds.
public struct AccessTokenResource: Codable, Sendable, Equatable {
    public var accessToken: String
    public var tokenType: String
    public var expiresIn: Int

    public init(accessToken: String, expiresIn: Int) {
        self.accessToken = accessToken
        tokenType = "Bearer"
        self.expiresIn = expiresIn
    }
}

/// The response of `GET /auth/me`, exactly as existing clients expect it. `tier` is the plan of the credential's
/// organisation.
public struct UserResource: Codable, Sendable, Equatable {
    public var id: String
    public var username: String
    @NullWhenAbsent public var email: String?
    public var tier: String

    public init(id: String, username: String, email: String?, tier: String) {
        self.id = id
        self.username = username
        self._email = .init(wrappedValue: email)
        self.tier = tier
    }
}

/// The format of all errors.
public struct ErrorResource: Codable, Sendable, Equatable {
    public var statusCode: Int
    public var message: String
    public var code: String
    public var limit: Int?
    public var current: Int?
    public var plan: String?
    /// The URL at which a higher limit is available.
    public var upgradeUrl: String?
    public var requestId: String?

    public init(statusCode: Int, message: String, code: String) {
        self.statusCode = statusCode
        self.message = message
        self.code = code
    }
}
