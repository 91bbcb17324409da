import ArgumentParser
import CPlatform
import Glibc
import Logging
import NIOCore
import NIOPosix
import Relay
import ServiceLifecycle
import Storage
import UnixSignals
import Web

/// `postern serve`: the appliance.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Runs the server: REST, pages and the relay.",
        discussion: """
            Example: postern serve --state /var/lib/postern --http 127.0.0.1:8080

            Ctrl-C (or SIGTERM) stops it in order: people are told to come back, and what was answered is on the disk.
            """)

    /// How long connections get to end when the server stops, before they are cut.
    private static let shutdownTime = Duration.seconds(10)

    @Option(help: "Directory for the database and keys; made if it is missing.")
    var state: String

    @Option(help: ArgumentHelp("Address to listen on; port 0 lets the system choose.", valueName: "address:port"))
    var http = "127.0.0.1:8080"

    @Option(help: "Seconds that a session waits for a host whose connection dropped.")
    var hostReturn = 300

    @Option(help: "Joins per minute, from one address and by one account.")
    var joinsPerMinute = 60

    @Option(help: "Sign-ins and code checks per minute from one address.")
    var publicCallsPerMinute = 30

    @Option(help: "Connections at once from one address.")
    var connectionsPerAddress = 256

    func validate() throws {
        _ = try address()
        for (name, value) in [
            ("host-return", hostReturn), ("joins-per-minute", joinsPerMinute),
            ("public-calls-per-minute", publicCallsPerMinute), ("connections-per-address", connectionsPerAddress),
        ] where value < 1 || value > 1_000_000 {
            throw ValidationError("--\(name) is a number from 1 to 1000000.")
        }
    }

    func run() async throws {
        umask(0o077)
        postern_raise_file_limit()
        let hasTime = getenv("JOURNAL_STREAM") == nil
        LoggingSystem.bootstrap { _ in LogfmtHandler(hasTime: hasTime) }
        let logger = Logger(label: "postern")
        let (host, port) = try address()
        let database = try Database(stateDirectory: state)
        defer { database.close() }
        try ServeLock.take(stateDirectory: state)
        let key = try SigningKeyFile.load(stateDirectory: state)
        var configuration = WebConfiguration(host: host, port: port)
        configuration.relay.hostReturn = .seconds(Int64(hostReturn))
        configuration.joinsPerMinute = joinsPerMinute
        configuration.publicCallsPerMinute = publicCallsPerMinute
        configuration.connectionsPerAddress = connectionsPerAddress
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let server = await WebServer(
            configuration: configuration, database: database, signingKey: key, version: Postern.version, group: group,
            logger: logger, onRunning: { Self.announce($0) })
        var services = ServiceGroupConfiguration(
            services: [server], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        services.maximumGracefulShutdownDuration = Self.shutdownTime
        do {
            try await ServiceGroup(configuration: services).run()
        } catch let error as IOError {
            let reason = String(cString: strerror(error.errnoCode)).lowercased()
            throw StorageError(.unavailable, "cannot listen on \(http): \(reason); choose another --http address")
        }
        logger.info("stopped")
    }

    /// The line that people read and scripts wait for.
    private static func announce(_ address: SocketAddress?) {
        let name = address?.ipAddress.map { $0.contains(":") ? "[\($0)]" : $0 } ?? "?"
        Output.line("Postern is up: http://\(name):\(address?.port ?? 0)/")
    }

    private func address() throws -> (String, Int) {
        let invalid = ValidationError("--http is ADDRESS:PORT, as in 127.0.0.1:8080 or [::1]:8080.")
        guard let colon = http.lastIndex(of: ":"), let port = Int(http[http.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw invalid }
        let host = http[..<colon].filter { $0 != "[" && $0 != "]" }
        guard !host.isEmpty else { throw invalid }
        return (String(host), port)
    }
}
