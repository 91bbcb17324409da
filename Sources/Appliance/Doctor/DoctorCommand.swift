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
            "Checks a server's configuration, files, database, disk, certificate and whether it responds, and an enrolled machine's connection.",
        discussion: """
            Example: sudo postern doctor

            On an enrolled machine it checks the connection to the server (name, proxy, certificate, clock, link) and the \
            services in agent.yml.
            """)

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    @Option(help: ArgumentHelp("The directory with an enrolled machine's key.", valueName: "directory"))
    var agentState = MachineState.standardDirectory

    @Option(help: ArgumentHelp("An enrolled machine's tunnel settings.", valueName: "file"))
    var agentSettings = AgentCommand.standardSettings

    private struct Line: Encodable { let check: String; let ok: Bool; let text: String }

    func run() async throws {
        let machine = MachineState(directory: agentState)
        if access(machine.directory, F_OK) == 0 && access(machine.directory, X_OK) != 0 {
            throw CommandFailure("\(machine.directory) cannot be read; run this with sudo")
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
