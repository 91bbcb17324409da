import Logging
import NIOCore
import Storage

/// What the server's administrators should hear of: a line in the log, an event in the server's audit log, and a mail.
struct OwnerAlerts: Sendable {
    /// Mails of an hour; an attack that lasts waits longer each time, and says so.
    private static let mailsPerHour = 5

    let database: Database
    let mail: AccountMail
    let logger: Logger
    private let mails = AttemptLimiter(mailsPerHour, per: .hours(1))

    init(database: Database, mail: AccountMail, logger: Logger) {
        self.database = database
        self.mail = mail
        self.logger = logger
    }

    /// Answers at once; the rest is done meanwhile.
    /// - Parameter sentence: without a name or address that the log should not have.
    func raise(_ sentence: String) {
        logger.warning("alert", metadata: ["what": "\(sentence)"])
        let outcome = mails.begin("mail")
        mail.later { await tell(sentence, outcome) }
    }

    private func tell(_ sentence: String, _ outcome: AttemptLimiter.Outcome) async {
        do {
            try await database.write { connection in
                let server = Audit.Actor(id: "", name: "server", credential: "none", address: "local")
                try Audit.record(
                    .alertRaised, target: sentence, result: .refused, actor: server, now: .now(),
                    in: connection.tenant(Audit.appliance))
            }
        } catch { logger.error("an alert was not written down", metadata: ["error": "\(error)"]) }
        switch outcome {
        case .go: await mail.alert(sentence)
        case .wait(let seconds, true):
            await mail.alert(
                "\(sentence)\n\nThis happens often now. For \(seconds / 60) minutes further alerts are in the audit log only."
            )
        case .wait: break
        }
    }
}
