import Operations
import Wire

// How the API describes these types (``Described``).

extension AccessTokenResource: Described {
    static let schema = Schema.named(
        "AccessToken",
        [
            .field("accessToken", .string),
            .field("tokenType", .words(["Bearer"])),
            .field("expiresIn", .integer),
        ])
}

extension UserResource: Described {
    static let schema = Schema.named(
        "User",
        [
            .field("id", .string),
            .field("username", .string),
            .nullable("email", .string),
            .field("tier", .string),
        ])
}

extension NewSignIn: Described {
    static let schema = Schema.named(
        "NewSignIn",
        [
            .field("username", .string),
            .field("password", .string),
            .absentOrNull("code", .string),
            .absentOrNull("client", .string),
        ])
}

extension SignedInResource: Described {
    static let schema = Schema.named(
        "SignedIn",
        [
            .field("accessToken", .string),
            .field("tokenType", .string),
            .field("expiresIn", .integer),
            .optional("refreshToken", .string),
        ])
}

extension NewAccount: Described {
    static let schema = Schema.named(
        "NewAccount",
        [
            .field("username", .username),
            .absentOrNull("email", .email),
            .field("password", .newPassword),
            .absentOrNull("invitation", .string),
        ])
}

extension SignInResource: Described {
    static let schema = Schema.named(
        "SignIn",
        [
            .field("id", .string),
            .field("kind", .words(["browser", "client", "desktop"])),
            .field("client", .string),
            .field("address", .string),
            .field("createdAt", .time),
            .field("lastSeenAt", .time),
            .field("expiresAt", .time),
            .field("isCurrent", .boolean),
        ])
}

extension NewToken: Described {
    static let schema = Schema.named(
        "NewToken",
        [
            .field("name", .name()),
            .optional("scopes", .permissions),
            .absentOrNull("expiresInDays", .integer(1...CredentialOperations.longestDays)),
        ])
}

extension TokenResource: Described {
    static let schema = Schema.named(
        "Token",
        [
            .field("id", .string),
            .field("name", .string),
            .field("organisationId", .string),
            .field("createdAt", .time),
            .optional("token", .string),
            .optional("scopes", .permissions),
            .optional("expiresAt", .time),
            .optional("lastUsedAt", .time),
            .optional("revokedAt", .time),
        ])
}

extension SecondFactorResource: Described {
    static let schema = Schema.named(
        "SecondFactor",
        [
            .field("isOn", .boolean),
            .field("recoveryCodesLeft", .integer),
        ])
}

extension SeedResource: Described {
    static let schema = Schema.named(
        "Seed",
        [
            .field("secret", .string),
            .field("uri", .string),
        ])
}

extension RecoveryCodesResource: Described {
    static let schema = Schema.named(
        "RecoveryCodes",
        [
            .field("recoveryCodes", .list(.string))
        ])
}

extension RefreshRequest: Described {
    static let schema = Schema.object([
        .field("refreshToken", .string)
    ])
}

extension ResetRequest: Described {
    static let schema = Schema.object([
        .field("email", .email)
    ])
}

extension PasswordReset: Described {
    static let schema = Schema.object([
        .field("secret", .string),
        .field("password", .newPassword),
    ])
}

extension SecretOnly: Described {
    static let schema = Schema.object([
        .field("secret", .string)
    ])
}

extension PasswordChange: Described {
    static let schema = Schema.object([
        .absentOrNull("oldPassword", .string),
        .field("newPassword", .newPassword),
    ])
}

extension EmailChange: Described {
    static let schema = Schema.object([
        .field("email", .email),
        .absentOrNull("password", .string),
    ])
}

extension CodeOnly: Described {
    static let schema = Schema.object([
        .field("code", .string)
    ])
}
