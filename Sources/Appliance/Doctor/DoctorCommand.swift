import Agent
import ArgumentParser
import Glibc
import Model
import NIOCore
import Wire

/// `postern doctor`: shows problems and their remedies.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract:
            "Checks a server's configuration, files, database, disk, certificate and whether it answers, and an enrolled machine's way out.",
        discussion: """
            Example: sudo postern doctor

            On a machine that is enrolled it looks at the way to the server (name, proxy, certificate, clock, link) and at what \
            agent.yml leads to.
            """)

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    @Option(help: ArgumentHelp("Where an enrolled machine keeps its key.", valueName: "directory"))
    var agentState = MachineState.standardDirectory

    @Option(help: ArgumentHelp("The tunnels of an enrolled machine.", valueName: "file"))
    var agentSettings = AgentCommand.standardSettings

    private struct Line: Encodable { let check: String; let ok: Bool; let text: String }

    func run() async throws {
        let machine = MachineState(directory: agentState)
        if access(machine.directory, F_OK) == 0 && access(machine.directory, X_OK) != 0 {
            throw CommandFailure("\(machine.directory) cannot be looked into; run this with sudo")
        }
        let configuration = Configuration(file: server.config, flags: server.flags)
        // Before this process switches to the server's user, who may not read these files.
        var findings = machine.isEnrolled ? await AgentExamination.findings(machine, settings: agentSettings) : []
        let isServer = !machine.isEnrolled || access(configuration.stateDirectory, F_OK) == 0
        let unit = ServiceCheck.unit(for: configuration, flags: server.flags)
        if isServer {
            // Before this process switches to the service's user, who may not read the journal.
            findings += Examination.service(unit)
            findings += Examination.configuration(configuration, problems: ServiceCheck.problems(configuration, unit))
        }
        if isServer && configuration.problems.isEmpty {
            findings += Examination.files(configuration) + Examination.database(configuration)
            findings += Examination.disk(configuration) + Examination.certificate(configuration)
            findings += await Examination.server(configuration)
        }
        for finding in findings {
            let line = Line(check: finding.check, ok: finding.isGood, text: finding.text)
            if json {
                Output.json(line)
            } else {
                Output.line("\(finding.isGood ? "ok " : "BAD") \(finding.check): \(finding.text)")
            }
        }
        if findings.contains(where: { !$0.isGood }) { throw ExitCode(1) }
    }
}
