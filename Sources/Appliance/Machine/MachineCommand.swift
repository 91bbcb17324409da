import Agent
import ArgumentParser
import Client
import Database
import Model
import Wire

/// `postern machine …`: computers that connect to a server with their own key.
struct MachineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "machine", abstract: "Enrols machines, lists and revokes them.",
        discussion: """
            Example: postern machine invite                 (where you are signed in; prints a code)
                     sudo postern machine enroll https://box.example CODE     (on the machine)
                     postern machine list
            """,
        subcommands: [
            MachineInvite.self, MachineEnroll.self, MachineStatus.self, MachineList.self, MachineShow.self,
            MachineRename.self, MachineRevoke.self, MachineRekey.self,
        ])
}

/// The directory of a machine's enrolment.
struct MachineStateOption: ParsableArguments {
    @Option(help: ArgumentHelp("The directory with this machine's key and enrolment.", valueName: "directory"))
    var state = MachineState.standardDirectory

    var machine: MachineState { MachineState(directory: state) }

    /// The command that starts the agent of this directory.
    var startCommand: String {
        state == MachineState.standardDirectory
            ? "sudo systemctl start postern-agent" : "postern agent --state \(state)"
    }
}

struct MachineInvite: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Creates a code that enrols one machine, once, within 30 minutes.",
        discussion: "Example: postern machine invite")

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let api = try TunnelCommand.api()
        let invitation = try await api.invite()
        if json { return Output.json(invitation) }
        Output.line("Run this on the machine, before \(invitation.expiresAt):")
        Output.line("")
        Output.line("    \(invitation.command)")
    }
}

struct MachineStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows whether this machine is connected, and its tunnels.",
        discussion: "Example: sudo postern machine status")

    @OptionGroup var state: MachineStateOption

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let machine = state.machine
        guard let enrolment = try machine.enrolment() else {
            throw ClientError(
                "this machine is not enrolled (\(machine.directory)); run 'postern machine invite' where you are signed in"
            )
        }
        guard let status = try await ControlClient.ask(.status, at: machine.socketPath) else {
            throw ClientError(
                "\(enrolment.name) is enrolled at \(enrolment.url), and its agent is not running; start it: \(state.startCommand)",
                status: .tryAgain)
        }
        if json {
            Output.json(status)
        } else {
            Self.show(status)
        }
        if status.isOnline != true { throw ExitCode(1) }
    }

    private static func show(_ status: ControlAnswer) {
        Output.line("Machine   \(status.machine ?? "")")
        Output.line("Server    \(status.server ?? "")")
        if status.isOnline == true {
            let time = status.roundTripMilliseconds.map { ", round trip \(($0 * 10).rounded() / 10) ms" } ?? ""
            let way = status.way.flatMap(LinkWay.init)?.text ?? ""
            Output.line("State     online since \(status.since ?? "") by \(way)\(time)")
        } else {
            Output.line("State     not connected: \(status.reason ?? "")")
        }
        for problem in status.problems ?? [] { Output.line("Problem   \(problem)") }
        MachineStatus.show(tunnels: status.tunnels ?? [])
    }

    static func show(tunnels: [ServedTunnel]) {
        guard !tunnels.isEmpty else {
            return Output.line("Tunnels   none; add them to agent.yml, then run 'sudo postern tunnels apply'")
        }
        Output.line("")
        TextTable.write(
            ["LABEL", "STATE", "ADDRESS", "SERVICE"],
            tunnels.map { one in
                let state = one.problem.map { "\(one.state): \($0)" } ?? one.state
                return [one.label, state, one.url ?? "", one.service]
            })
    }
}

struct MachineList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists your machines.", discussion: "Example: postern machine list --all --json")

    @Flag(help: "List all machines of the organisation that your role may see.")
    var all = false

    @Flag(help: "Print one JSON object per line.")
    var json = false

    func run() async throws {
        let machines = try await TunnelCommand.api().machines(all: all)
        if json { return machines.forEach { Output.json($0) } }
        guard !machines.isEmpty else { return Output.line("No machines. 'postern machine invite' adds one.") }
        TextTable.write(
            ["NAME", "STATE", "OWNER", "LOAD", "TUNNELS", "PLATFORM", "LAST SEEN"],
            machines.map { one in
                [
                    one.name, one.problem == nil ? one.state : "blocked", one.owner,
                    one.report?.load.first.map { "\(($0 * 100).rounded() / 100)" } ?? "",
                    one.report.map { "\($0.tunnels)" } ?? "", one.platform, one.lastSeenAt ?? "never",
                ]
            })
    }
}

struct MachineShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one machine.", discussion: "Example: postern machine show box")

    @Argument(help: "Its name or its id.")
    var machine: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let found = try await TunnelCommand.api().machine(machine)
        if json { return Output.json(found) }
        Output.line("Name        \(found.name)")
        Output.line("State       \(found.state)\(found.onlineSince.map { " since \($0)" } ?? "")")
        if let problem = found.problem { Output.line("Problem     \(problem)") }
        Output.line("Owner       \(found.owner)")
        Output.line("Platform    \(found.platform), \(found.software)")
        Output.line("Allows      \(found.allows.map(\.rawValue).joined(separator: ", "))")
        Output.line("Enrolled    \(found.enrolledAt)")
        Output.line("Last seen   \(found.lastSeenAt ?? "never")\(found.address.map { ", from \($0)" } ?? "")")
        if let report = found.report {
            let load = report.load.map { "\(($0 * 100).rounded() / 100)" }.joined(separator: ", ")
            Output.line("Load        \(load) on \(report.processors) processors")
            Output.line("Memory      \(report.memoryAvailable >> 20) MiB of \(report.memoryTotal >> 20) MiB free")
            Output.line("Disk        \(report.diskFree >> 20) MiB of \(report.diskTotal >> 20) MiB free")
            Output.line("Tunnels     \(report.tunnels) online")
        }
        Output.line("Key         \(found.fingerprint)")
        Output.line("Id          \(found.id)")
    }
}

struct MachineRename: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Renames a machine.",
        discussion: "Example: postern machine rename box attic")

    @Argument(help: "Its name or its id.")
    var machine: String

    @Argument(help: "The new name.")
    var name: String

    func run() async throws {
        let found = try await TunnelCommand.api().rename(machine: machine, to: name)
        Output.line("It is now named \(found.name).")
    }
}

struct MachineRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revokes a machine and closes its connection.",
        discussion: "Example: postern machine revoke box")

    @Argument(help: "Its name or its id.")
    var machine: String

    func run() async throws {
        try await TunnelCommand.api().revoke(machine: machine)
        Output.line("Revoked. To allow it again, run 'postern machine enroll' on it.")
    }
}

struct MachineRekey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rekey", abstract: "Replaces this machine's key; the old key stops working.",
        discussion: "Example: sudo postern machine rekey")

    @OptionGroup var state: MachineStateOption

    func run() async throws {
        _ = try await AgentQuestion.ask(.rekey, state)
        Output.line("This machine has a new key. Connections through its tunnels were interrupted once.")
    }
}
