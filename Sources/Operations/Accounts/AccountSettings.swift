public import NIOCore

/// The owner's settings for accounts.
public struct AccountSettings: Sendable {
    public enum Registration: String, Sendable, CaseIterable {
        /// Everybody can register.
        case open
        /// Registration requires an organisation's invitation.
        case invited
        /// Only the owner creates accounts.
        case closed
    }

    public var registration = Registration.invited
    /// The public address of this server, without a trailing slash. Links in mails need it.
    public var publicURL: String?
    /// The page that a refusal names for people who need a higher plan. Nil for the plan's page on this server.
    public var upgradeURL: String?

    /// Programs that may receive a token, each up to and including its last slash. The first is the default.
    public var frontends = [frontend]
    /// The desktop client already in use.
    public static let frontend = "claudelander://"

    /// The length in characters. NIST SP 800-63B, section 5.1.1.2: at least eight, and long passwords should be allowed.
    public static let passwordLength = 10...256
    /// The maximum length of a name or an address, in bytes (RFC 5321: an address has at most 254).
    public static let loginBytes = 254
    /// The maximum number of invitation mails that one account sends, and that one address receives.
    public static let invitationsSent = 20
    public static let invitationsReceived = 3
    public static let invitationWindow = TimeAmount.hours(1)
    /// The maximum number of sign-ins of one account and of one address.
    public static let signIns = 5
    public static let signInWindow = TimeAmount.minutes(15)
    /// The maximum number of registrations of one address.
    public static let registrations = 3
    public static let registrationWindow = TimeAmount.hours(1)
    /// The maximum number of reset mails to one account, and requested by one address.
    public static let resets = 3
    public static let resetWindow = TimeAmount.hours(1)
    /// An address that many people share, such as an office's, may sign in more often than one account.
    public static let signInsPerAddress = 20

    public init() {}
}
