import Model
import Operations
import Storage
import Wire

// The API's input and output types for accounts. Times are ISO 8601 in UTC.

struct NewSignIn: Decodable {
    let username: String
    let password: String
    /// A code of the authenticator app, or a recovery code. Required if the account has a second factor.
    let code: String?
    /// The client's name in the list of sign-ins.
    let client: String?
}

struct NewAccount: Decodable {
    let username: String
    let email: String?
    let password: String
    let invitation: String?
}

struct RefreshRequest: Decodable { let refreshToken: String }
struct PasswordChange: Decodable { let oldPassword: String?; let newPassword: String }
struct ResetRequest: Decodable { let email: String }
struct PasswordReset: Decodable { let secret: String; let password: String }
struct SecretOnly: Decodable { let secret: String }
struct CodeOnly: Decodable { let code: String }
struct EmailChange: Decodable { let email: String; let password: String? }

struct NewToken: Decodable {
    let name: String
    /// Nil for all permissions that the account has there.
    let scopes: [String]?
    let expiresInDays: Int?
}

/// The tokens of a sign-in. `expiresIn` is in seconds.
struct SignedInResource: Encodable {
    let accessToken: String
    let tokenType = "Bearer"
    let expiresIn: Int
    let refreshToken: String?
}

struct SignInResource: Encodable {
    let id, kind, client, address, createdAt, lastSeenAt, expiresAt: String
    let isCurrent: Bool

    init(_ signIn: SignIn, current: String?) {
        id = signIn.id
        kind = signIn.kind.rawValue
        client = signIn.client
        address = signIn.address
        createdAt = signIn.createdAt.iso
        lastSeenAt = signIn.lastSeenAt.iso
        expiresAt = signIn.expiresAt.iso
        isCurrent = signIn.id == current
    }
}

struct TokenResource: Encodable {
    let id, name, organisationId, createdAt: String
    /// The token itself. Only in the response to its creation.
    var token: String?
    let scopes: [String]?
    let expiresAt, lastUsedAt, revokedAt: String?

    init(_ listed: APIToken.Listed) {
        id = listed.id
        name = listed.name
        organisationId = listed.organisationId
        createdAt = listed.createdAt.iso
        scopes = listed.scopes.map { $0.sorted().map(\.rawValue) }
        expiresAt = listed.expiresAt?.iso
        lastUsedAt = listed.lastUsedAt?.iso
        revokedAt = listed.revokedAt?.iso
    }
}

struct SecondFactorResource: Encodable {
    let isOn: Bool
    let recoveryCodesLeft: Int

    init(_ state: SecondFactorState) {
        isOn = state.isOn
        recoveryCodesLeft = state.recoveryCodesLeft
    }
}

/// The seed for an authenticator app.
struct SeedResource: Encodable {
    let secret: String
    let uri: String

    init(seed: [UInt8], username: String, host: String) {
        secret = Base32.text(seed)
        let name = FormText.encoded("\(host):\(username)")
        uri =
            "otpauth://totp/\(name)?secret=\(secret)&issuer=\(FormText.encoded(host))&algorithm=SHA1&digits=6&period=30"
    }
}

struct RecoveryCodesResource: Encodable { let recoveryCodes: [String] }

extension Set<PermissionKey> {
    /// - Throws: ``APIError`` that names the first unknown word.
    static func parse(_ words: [String], field: String) throws -> Set<PermissionKey> {
        Set(
            try words.map { word in
                guard let key = PermissionKey(rawValue: word) else {
                    throw APIError.badRequest("\(field): there is no permission '\(word.prefix(64))'.")
                }
                return key
            })
    }
}
