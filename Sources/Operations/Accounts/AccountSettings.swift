public import NIOCore

/// What the owner decides about accounts.
public struct AccountSettings: Sendable {
    public enum Registration: String, Sendable, CaseIterable {
        /// Anybody who finds the page.
        case open
        /// With an organisation's invitation.
        case invited
        /// Only the owner makes accounts.
        case closed
    }

    public var registration = Registration.invited
    /// Where people reach this server, without a slash at the end; links in mails need it.
    public var publicURL: String?
    /// Where a refusal sends people who need more; nil for the plan's page here.
    public var upgradeURL: String?

    /// Programs that may be given a token, each up to and with its last slash; the first is the one of those who name none.
    public var frontends = [frontend]
    /// The desktop client in the field.
    public static let frontend = "claudelander://"

    /// In characters. NIST SP 800-63B, section 5.1.1.2: at least eight; long ones are welcome.
    public static let passwordLength = 10...256
    /// A name or an address, in bytes (RFC 5321: an address has at most 254).
    public static let loginBytes = 254
    /// Mails of invitations that one account sends, and that one address gets.
    public static let invitationsSent = 20
    public static let invitationsReceived = 3
    public static let invitationWindow = TimeAmount.hours(1)
    /// Sign-ins of one account and of one address.
    public static let signIns = 5
    public static let signInWindow = TimeAmount.minutes(15)
    /// Registrations of one address.
    public static let registrations = 3
    public static let registrationWindow = TimeAmount.hours(1)
    /// Reset mails to one account, and asked for by one address.
    public static let resets = 3
    public static let resetWindow = TimeAmount.hours(1)
    /// An address that many people share, such as an office's, is allowed more sign-ins than one account is.
    public static let signInsPerAddress = 20

    public init() {}
}
