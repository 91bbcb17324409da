import ArgumentParser
import Model
import NIOCore
import Wire

/// `postern doctor`: what is wrong, and what to do about it.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Checks configuration, files, database, disk, certificate and the running server.",
        discussion: "Example: sudo postern doctor")

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    private struct Line: Encodable { let check: String; let ok: Bool; let text: String }

    func run() async throws {
        let configuration = Configuration(file: server.config, flags: server.flags)
        var findings = Examination.configuration(configuration)
        if configuration.problems.isEmpty {
            try? StateOwner.become(ownerOf: configuration.stateDirectory)
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
