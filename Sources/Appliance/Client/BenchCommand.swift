import ArgumentParser
import Client
import Model
import NIOCore
import Wire

/// `postern bench`: measures the connection to one's own appliance.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures a session through your server, from where you are.",
        discussion: """
            Example: postern bench
                     postern bench https://box.example --json

            A host and a guest of a session of its own, both here: how long a keystroke's echo takes, how much gets through, and \
            whether anything is lost when the guest's link drops and comes back. Takes about fifteen seconds, counts as one \
            session of yours while it runs, and leaves nothing behind.
            """)

    @Argument(help: "The server; the one you are signed in to if there is none.")
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
        keystroke to echo   \(decimal(report.echoP50)) ms half of the time, \(decimal(report.echoP99)) ms 99 times in 100 \
        (\(report.keystrokes) keystrokes)
        throughput          \(decimal(Double(report.bytesPerSecond) / 1e6)) MB/s from a host to a guest
        dropped link        \(report.lost) of \(report.messages) messages lost, \(report.repeated) repeated; \
        caught up \(decimal(report.caughtUpAfter)) ms after it was back
        """
    }

    /// With one decimal digit.
    private static func decimal(_ number: Double) -> String {
        let tenths = Int((number * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
