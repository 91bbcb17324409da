import ArgumentParser
import CPlatform
import Client
import Glibc
import NIOCore
import NIOPosix
import TransportSecurity

/// The load generator of `make bench`: one process, one event loop, real WebSockets, and several relays' protocols. It reports
/// what it measured as one JSON object and says how busy it was itself, so that a generator at its limit is not taken for a
/// relay at its.
@main
struct RelayBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "postern-bench", abstract: "Loads a relay and measures it. See scripts/bench.py.")

    @Option var url: String
    /// The server's certificate, where it is self-signed.
    @Option var fingerprint: String?
    @Option var peer: Plan.Peer = .postern
    /// A file with one room per line: "session code" for Postern, a name for the others.
    @Option var rooms: String
    @Option var mode: Plan.Mode
    @Option var guests = 1
    /// Bytes of a payload; eight at least.
    @Option var bytes = 256
    /// Messages to publish, per room.
    @Option var frames = 10_000
    /// Throughput: how long messages are published, instead of a number of them.
    @Option var seconds = 0
    /// Throughput: messages that may be under way, per room.
    @Option var window = 32
    /// Latency: messages per second and room.
    @Option var rate = 200
    /// Latency: guests of each room that stop reading.
    @Option var stalled = 0
    /// The relay's processes, separated by commas: their processor time while messages are under way is in the report. Joining
    /// is not in it.
    @Option var pids = ""

    func run() async throws {
        postern_raise_file_limit()
        let address = try ServerAddress(url, pin: fingerprint.flatMap { Fingerprint($0) })
        // From the environment, so that it is in no argument list.
        let token = getenv("POSTERN_TOKEN").map { String(cString: $0) } ?? ""
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let plan = Plan(
            address: address, peer: peer, token: token, rooms: try readRooms(), mode: mode, guests: guests,
            bytes: max(8, bytes), frames: frames, seconds: seconds, window: window, rate: rate,
            stalled: stalled,
            relay: ProcessorTime(pids: pids.split(separator: ",").compactMap { Int32($0) }))
        let report = try await loop.flatSubmit {
            switch plan.mode {
            case .throughput, .latency, .idle: Load(plan, loop: loop, announce: Self.ready).start()
            case .storm: Storm(plan, loop: loop, announce: Self.ready).start()
            case .handshakes: Handshakes.run(plan, on: loop)
            }
        }.get()
        Self.say(report)
        // `idle` holds its connections until the script has looked at the relay's memory.
        if mode == .idle {
            let terminal = fopen("/dev/stdin", "r")
            _ = fgetc(terminal)
        }
    }

    @Sendable private static func ready() { say("ready") }

    /// Not `print`: in a pipe it would keep the line until the end.
    private static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = write(1, line, line.count)
    }

    private func readRooms() throws -> [Plan.Room] {
        guard let file = fopen(rooms, "r") else { throw ValidationError("cannot read \(rooms)") }
        var found: [Plan.Room] = []
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        while getline(&line, &room, file) > 0, let text = line.map({ String(cString: $0) }) {
            let words = text.split { " \n".contains($0) }.map(String.init)
            if let session = words.first {
                found.append(.init(session: session, code: words.count > 1 ? words[1] : ""))
            }
        }
        free(line)
        guard !found.isEmpty else { throw ValidationError("\(rooms) names no room") }
        return found
    }
}
