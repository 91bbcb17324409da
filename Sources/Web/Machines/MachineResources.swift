import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// Machines as the API and the pages show them.
struct MachineResources: Sendable {
    /// Where people reach the server; nil where its owner has not said.
    let publicURL: String?
    /// Of the certificate that a machine must be told to believe; nil where systems trust it.
    let fingerprint: @Sendable () -> String?

    func resource(_ listed: MachineOperations.Listed) -> MachineResource {
        resource(listed.machine, owner: listed.owner ?? "", listed.status, problem: listed.problem)
    }

    /// One that was enrolled just now.
    func resource(_ machine: Machine, owner: String = "") -> MachineResource {
        resource(machine, owner: owner, nil, problem: nil)
    }

    private func resource(
        _ machine: Machine, owner: String, _ status: MachineStatus?, problem: String?
    ) -> MachineResource {
        MachineResource(
            id: machine.id, name: machine.name, state: status == nil ? "offline" : "online", owner: owner,
            fingerprint: "sha256:\(machine.fingerprint)", allows: machine.allows, software: machine.software,
            platform: machine.platform, enrolledAt: machine.enrolledAt.iso,
            lastSeenAt: status == nil ? machine.seenAt?.iso : Timestamp.now().iso,
            address: status?.from ?? machine.seenFrom, onlineSince: status?.since.iso,
            roundTripMilliseconds: status?.roundTripMilliseconds, report: status?.report, problem: problem)
    }

    func invitation(_ code: EnrolmentCode, _ secret: String, _ request: Request) -> MachineInvitation {
        MachineInvitation(code: secret, expiresAt: code.expiresAt.iso, command: command(secret, request))
    }

    /// Where machines reach this server: `public-url`, or as whoever asks has reached it.
    func url(_ request: Request) -> String { publicURL ?? request.ownURL ?? "https://localhost" }

    /// For a machine that has Postern.
    func command(_ code: String, _ request: Request) -> String {
        let pin = fingerprint().map { " --fingerprint \($0)" } ?? ""
        return "sudo postern machine enroll \(url(request)) \(code)\(pin)"
    }
}
