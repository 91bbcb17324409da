import ArgumentParser
import CPlatform
import Client
import Glibc
import Histogram
import NIOCore
import NIOPosix
import TransportSecurity
import Wire

/// The load generator of `make bench`: one process, one event loop, real WebSockets. It reports what it measured as one
/// JSON object and says how busy it was itself, so that a generator at its limit is not taken for a relay at its.
@main
struct RelayBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "postern-bench", abstract: "Loads a relay and measures it. See scripts/bench.py.")

    enum Mode: String, ExpressibleByArgument, Sendable { case throughput, latency, idle }

    @Option var url: String
    /// The server's certificate, where it vouches for itself.
    @Option var fingerprint: String?
    /// Read from POSTERN_TOKEN, so that it is in no argument list.
    @Option var session: String
    @Option var code: String
    @Option var mode: Mode
    @Option var guests = 1
    /// Ciphertext bytes in a frame.
    @Option var bytes = 256
    /// Frames to publish.
    @Option var frames = 10_000
    /// Throughput: frames that may be under way.
    @Option var window = 32
    /// Latency: frames per second.
    @Option var rate = 200

    func run() async throws {
        postern_raise_file_limit()
        let address = try ServerAddress(url, pin: fingerprint.flatMap { Fingerprint($0) })
        guard let token = getenv("POSTERN_TOKEN").map({ String(cString: $0) }) else { throw ExitCode(2) }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let plan = Load.Plan(
            address: address, token: token, session: session, code: code, mode: mode, guests: guests, bytes: bytes,
            frames: frames, window: window, rate: rate)
        let report = try await loop.flatSubmit { Load(plan, loop: loop).start() }.get()
        // Not `print`: in a pipe it would keep the line until the end.
        let line = Array((report + "\n").utf8)
        _ = write(1, line, line.count)
        // `idle` holds its connections until the script has looked at the relay's memory.
        if mode == .idle { _ = readLine() }
    }
}
