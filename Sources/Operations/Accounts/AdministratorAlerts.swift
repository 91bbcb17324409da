import Background
public import Database
import Limits
public import Logging
import Model
import NIOCore
import Storage

/// What the server's administrators should hear of: a line in the log, an event in the server's audit log, and a mail.
public struct AdministratorAlerts: Sendable {
    /// Mails per hour and kind. Then mails of that kind pause, longer each time; the mail that starts a pause says how long it is.
    private static let mailsPerHour = 5

    public let database: Database
    public let mail: AccountMail
    public let logger: Logger
    private let waiting = InFlightLimit()
    private let mails = AttemptLimiter(mailsPerHour, per: .hours(1))

    public init(database: Database, mail: AccountMail, logger: Logger) {
        self.database = database
        self.mail = mail
        self.logger = logger
    }

    /// What an alert is about; each kind has its own number of mails.
    public enum Kind: String, Sendable {
        /// Guesses at accounts that exist, or use of a stolen token.
        case account
        /// What anybody can cause without knowing anything.
        case stranger
    }

    /// Answers at once; the rest is done meanwhile.
    /// - Parameter sentence: without a name or address that the log should not have.
    public func raise(_ kind: Kind, _ sentence: String) {
        logger.warning("alert", metadata: ["what": "\(sentence)"])
        guard waiting.enter() else {
            return logger.error("alert not recorded in the audit log", metadata: ["error": "too many alerts at once"])
        }
        mail.background.run(isEssential: true) {
            await writeDown(sentence)
            waiting.leave()
            mail.later { await tell(kind, sentence) }
        }
    }

    private func writeDown(_ sentence: String) async {
        do {
            try await database.write { connection in
                try Audit.record(
                    .alertRaised, target: sentence, result: .refused, actor: .server, now: .now(),
                    in: connection.tenant(Audit.appliance))
            }
        } catch { logger.error("alert not recorded in the audit log", metadata: ["error": "\(error)"]) }
    }

    private func tell(_ kind: Kind, _ sentence: String) async {
        guard mail.isOn else { return }
        switch mails.begin(kind.rawValue) {
        case .go: await mail.alert(sentence)
        case .wait(let seconds, true):
            await mail.alert(
                "\(sentence)\n\nThis happens often now. For \(seconds / 60) minutes further alerts are in the audit log only."
            )
        case .wait: break
        }
    }
}
