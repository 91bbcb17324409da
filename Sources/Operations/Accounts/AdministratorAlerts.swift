import Background
public import Database
import Limits
public import Logging
import Model
import NIOCore
import Storage

/// Alerts for the server's administrators: a line in the log, an event in the server's audit log, and a mail.
public struct AdministratorAlerts: Sendable {
    /// The maximum number of mails per hour and kind. After that, mails of the kind pause, longer each time. The mail
    /// that starts a pause contains its duration.
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

    /// The subject of an alert. Mails are limited separately for each kind.
    public enum Kind: String, Sendable {
        /// Guesses at existing accounts, or the use of a stolen token.
        case account
        /// Events that anybody can cause without any knowledge.
        case stranger
    }

    /// Returns at once. The alert is raised in the background.
    /// - Parameter sentence: must not contain a name or address that the log should not have.
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
                "\(sentence)\n\nAlerts are frequent now. For \(seconds / 60) minutes further alerts are recorded in the audit log only."
            )
        case .wait: break
        }
    }
}
