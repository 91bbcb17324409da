public import Background
public import Database
public import Logging
import Storage
import Synchronization

/// Sends mail.
public protocol MailSender: Sendable {
    /// - Throws: if the mail was not accepted.
    func send(to address: String, subject: String, text: String) async throws
}

/// The mails of accounts. Without a mail server nothing is sent, and no operation fails because of that.
public struct AccountMail: Sendable {
    public let sender: (any MailSender)?
    public let database: Database
    public let publicURL: String?
    public let logger: Logger
    public let background: BackgroundWork

    private let waiting = InFlightLimit()

    public init(
        sender: (any MailSender)?, database: Database, publicURL: String?, background: BackgroundWork, logger: Logger
    ) {
        self.background = background
        self.sender = sender
        self.database = database
        self.publicURL = publicURL
        self.logger = logger
    }

    /// Whether mail can be sent: a mail server and a public address are configured.
    public var isOn: Bool { sender != nil && publicURL != nil }

    public func verification(to address: String, secret: String, username: String) async {
        await send(
            to: address, "Verify your e-mail address",
            """
            Hello \(username),

            please open this link to verify your e-mail address; it works once and expires after a day:

            \(publicURL ?? "")/verify/\(secret)

            If you did not request this, ignore this mail.
            """)
    }

    public func reset(to address: String, secret: String, username: String) async {
        await send(
            to: address, "Reset your password",
            """
            Hello \(username),

            use this link to set a new password; it works once and expires after an hour:

            \(publicURL ?? "")/reset/\(secret)

            If you did not request this, ignore this mail: your password is not changed.
            """)
    }

    public func invitation(to address: String, secret: String, organisation: String, inviter: String) async {
        await send(
            to: address, "You are invited to \(organisation)",
            """
            Hello,

            \(inviter) invites you to \(organisation) on this Postern; the link works once and expires after a week:

            \(publicURL ?? "")/invitation/\(secret)
            """)
    }

    /// Runs `body` in the background. If too many mails are in progress, drops it and logs an error.
    public func later(_ body: @escaping @Sendable () async -> Void) {
        guard waiting.enter() else {
            return logger.error("mail not sent", metadata: ["error": "too many mails at once"])
        }
        let waiting = self.waiting
        // Marked as essential: mails are limited here instead.
        background.run(isEssential: true) {
            await body()
            waiting.leave()
        }
    }

    /// Sends a mail to all administrators of this server with a verified address.
    public func alert(_ sentence: String) async {
        guard isOn else { return }
        do {
            for user in try await database.read({ try User.administrators(in: $0) }) {
                guard let address = user.email, user.emailVerifiedAt != nil else { continue }
                await send(
                    to: address, "Postern: an alert",
                    """
                    Hello \(user.username),

                    \(sentence)

                    Details are in the server's audit log: \(publicURL ?? "")/administration/audit
                    """)
            }
        } catch { logger.error("alert not sent", metadata: ["error": "\(error)"]) }
    }

    /// Notifies an old address of a change.
    public func tell(_ address: String, _ username: String, _ sentence: String) async {
        await send(to: address, "Your account was changed", "Hello \(username),\n\n\(sentence)\n")
    }

    /// Notifies an account's owner of an action that only the owner should have done.
    public func warn(userId: String, _ sentence: String) async {
        guard isOn else { return }
        let user = try? await database.read { try User.find(id: userId, in: $0) }
        guard let user, let address = user.email, user.emailVerifiedAt != nil else { return }
        await send(
            to: address, "Your account was changed",
            """
            Hello \(user.username),

            \(sentence)

            If this was not you, choose a new password and end all sign-ins: \(publicURL ?? "")/account
            """)
    }

    /// Tells an account's owner of something that needs care.
    /// - Parameter path: the page of this server that shows it.
    public func notify(userId: String, subject: String, _ sentence: String, path: String) async {
        guard isOn else { return }
        let user = try? await database.read { try User.find(id: userId, in: $0) }
        guard let user, let address = user.email, user.emailVerifiedAt != nil else { return }
        await send(
            to: address, subject,
            """
            Hello \(user.username),

            \(sentence)

            More: \(publicURL ?? "")\(path)
            """)
    }

    private func send(to address: String, _ subject: String, _ text: String) async {
        guard let sender, publicURL != nil else { return }
        do {
            try await sender.send(to: address, subject: subject, text: text)
        } catch {
            // The person notices that no mail arrives. The owner needs the reason.
            logger.error("mail not sent", metadata: ["error": "\(error)", "subject": "\(subject)"])
        }
    }
}

/// Limits how many mails or alerts are in progress at once.
public final class InFlightLimit: Sendable {
    /// The maximum at once: each has a connection to the mail server.
    private static let capacity = 32
    private let count = Atomic(0)

    public func enter() -> Bool {
        if count.wrappingAdd(1, ordering: .relaxed).newValue <= Self.capacity { return true }
        leave()
        return false
    }

    public func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}
