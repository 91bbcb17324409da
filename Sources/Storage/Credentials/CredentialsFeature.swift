import Database

extension StorageFeature {
    /// Accounts and their credentials.
    static let accounts = StorageFeature(
        name: "accounts",
        migrations: [.firstTables, .applianceTables, .peopleTables, .credentialsView, .namesInAnyCase],
        permissions: [.tokenCreate, .applianceManage],
        clearAway: { cutoffs, database in
            try database.run("DELETE FROM one_time_links WHERE expires_at < ?", cutoffs.links)
            return 0
        })
}

extension PermissionKey {
    public static let tokenCreate = PermissionKey(
        "token:create", "create API tokens for one's own account", [.owner, .admin, .member])
    /// The appliance's own permission: no organisation's role has it.
    public static let applianceManage = PermissionKey(
        "appliance:manage", "administer this server: plans, accounts, metrics", [])
}

extension AuditAction {
    public static let signedIn = AuditAction("account.signed_in")
    public static let signedOut = AuditAction("account.signed_out")
    public static let signedOutEverywhere = AuditAction("account.signed_out_everywhere")
    public static let refreshReused = AuditAction("account.refresh_token_reused")
    public static let registered = AuditAction("account.registered")
    public static let passwordChanged = AuditAction("account.password_changed")
    public static let passwordReset = AuditAction("account.password_reset")
    public static let emailVerified = AuditAction("account.email_verified")
    public static let secondFactorOn = AuditAction("account.second_factor_on")
    public static let secondFactorOff = AuditAction("account.second_factor_off")
    public static let recoveryCodesRenewed = AuditAction("account.recovery_codes_renewed")
    public static let accountRemoved = AuditAction("account.removed")
    public static let accountDisabled = AuditAction("account.disabled")
    public static let accountEnabled = AuditAction("account.enabled")
    public static let identityLinked = AuditAction("account.identity_linked")
    public static let identityRemoved = AuditAction("account.identity_removed")
    public static let tokenCreated = AuditAction("token.created")
    public static let tokenRevoked = AuditAction("token.revoked")
    public static let secretSet = AuditAction("secret.set")
    public static let keysRotated = AuditAction("keys.rotated")
}

extension Refusal.Code {
    public static let setUp = Self("set_up", .forbidden)
    public static let lastAdministrator = Self("last_administrator", .conflict)
    public static let secondFactor = Self("second_factor_required", .forbidden)
    public static let link = Self("link_invalid", .gone)
    /// The code of a second factor is wrong, for a signed-in person.
    public static let code = Self("code_wrong", .forbidden)
    /// The same error during sign-in.
    public static let signInCode = Self("code_wrong", .unauthenticated)
    public static let registration = Self("registration_closed", .forbidden)
    public static let signInFailed = Self("sign_in_failed", .unauthenticated)
    public static let passwordWrong = Self("password_wrong", .forbidden)
    /// An API token cannot do this.
    public static let signInNeeded = Self("sign_in_needed", .forbidden)
    public static let mailOff = Self("mail_off", .conflict)
    public static let emailUnproved = Self("email_unproved", .forbidden)
}

extension Migration {
    /// A name is found regardless of case.
    static let namesInAnyCase = Migration(
        number: 8, script: "CREATE INDEX users_by_name ON users (username COLLATE NOCASE);")
}
