public import Database
import Limits
public import Logging
import Model
import NIOCore
public import Storage

/// Notifies the person who enrolled a machine that two machines have its key.
public struct DuplicateMachines: Sendable {
    public let database: Database
    /// Nil if the server sends no mail.
    public let mail: AccountMail?
    public let logger: Logger
    /// As long as both machines are connected, they are held back again every minute.
    private let events = OnceInAWhile(.hours(1))
    private let mails = OnceInAWhile(.hours(24))

    public init(database: Database, mail: AccountMail?, logger: Logger) {
        self.database = database
        self.mail = mail
        self.logger = logger
    }

    func tell(_ machine: Machine, of caller: Caller, from addresses: [String]) async {
        let places = addresses.filter { !$0.isEmpty }.joined(separator: " and ")
        let sentence = "The key of \(machine.name) is on two machines, at \(places): both are blocked for a minute."
        guard events.take(machine.id) else { return }
        do {
            try await database.write { database in
                try Audit.record(
                    .machineDuplicated, target: machine.id, detail: sentence, result: .refused, actor: .server,
                    now: .now(), in: database.tenant(machine.organisationId))
            }
        } catch { logger.error("cannot record a duplicated machine in the audit log", metadata: ["error": "\(error)"]) }
        guard mails.take(machine.id), let mail, mail.isOn, caller.user.emailVerifiedAt != nil,
            let address = caller.user.email
        else { return }
        await mail.tell(
            address, caller.user.username,
            "\(sentence) Run 'postern machine enroll --new-key' on one of them.")
    }
}
