import ArgumentParser
import Client
import Model
import NIOCore
import Wire

/// `postern bench`: measures the connection to one's own appliance.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a session through your server from this machine.",
        discussion: """
            Example: postern bench
                     postern bench https://box.example --json

            Opens a session with a host and a guest on this machine, and measures keystroke latency, throughput, and \
            whether anything is lost when the guest's connection drops and resumes. Takes about fifteen seconds, counts as one \
            of your sessions while it runs, and leaves nothing behind.
            """)

    @Argument(help: "The server; defaults to the one you are signed in to.")
    var url: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let credentials = try Credentials.load(url: url)
        let quiet = json
        let report = try await Bench.run(address: try credentials.address(), token: credentials.token) { step in
            if !quiet { Output.line("measuring \(step.rawValue) …", to: 2) }
        }
        if json { Output.json(report) } else { Output.line(Self.text(report)) }
    }

    private static func text(_ report: Bench.Report) -> TerminalText {
        """
        keystroke to echo   \(decimal(report.echoP50)) ms median, \(decimal(report.echoP99)) ms 99th percentile \
        (\(report.keystrokes) keystrokes)
        throughput          \(decimal(Double(report.bytesPerSecond) / 1e6)) MB/s from a host to a guest
        dropped connection  \(report.lost) of \(report.messages) messages lost, \(report.repeated) repeated; \
        caught up \(decimal(report.caughtUpAfter)) ms after reconnecting
        """
    }

    /// With one decimal digit.
    private static func decimal(_ number: Double) -> String {
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
