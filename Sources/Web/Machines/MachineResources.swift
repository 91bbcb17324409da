import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// Machines in the format of the API and the pages.
struct MachineResources: Sendable {
    /// The public address of the server. Nil if its owner has not set it.
    let publicURL: String?
    /// The fingerprint of the certificate that a machine must be told to trust. Nil if systems trust it already.
    let fingerprint: @Sendable () -> String?

    func resource(_ listed: MachineOperations.Listed) -> MachineResource {
        resource(listed.machine, owner: listed.owner ?? "", listed.status, problem: listed.problem)
    }

    /// A machine that was just enrolled.
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

    /// The address of this server for machines: `public-url`, or the address that the caller used.
    func url(_ request: Request) -> String { publicURL ?? request.ownURL ?? "https://localhost" }

    /// The command for a machine that already has Postern.
    func command(_ code: String, _ request: Request) -> String {
        let pin = fingerprint().map { " --fingerprint \($0)" } ?? ""
        return "sudo postern machine enroll \(url(request)) \(code)\(pin)"
    }
}
