import ArgumentParser
import CPlatform
import Glibc
import Logging
import Model
import NIOCore
import NIOPosix
import ServiceLifecycle
import Storage
import UnixSignals

/// `postern serve`: the appliance.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Runs the server: REST API, web pages and relay.",
        discussion: """
            Example: postern serve --state /var/lib/postern --https '*:443' --http '*:80'
                     postern serve --state ./state --https off --http 127.0.0.1:8080

            Every setting except secrets is a flag, a variable (POSTERN_TLS_MODE) and a line of /etc/postern/postern.yml; the flag \
            wins, then the variable. Secrets are not flags: other users could read them ('postern secret set' stores one). \
            'postern config show' prints the effective settings. Ctrl-C (or SIGTERM) stops the server cleanly: clients are told to \
            reconnect, and everything acknowledged is on disk. SIGHUP reloads.
            """)

    /// How long connections may take to end when the server stops. After that they are closed.
    static let shutdownTime = Duration.seconds(10)

    @OptionGroup var server: ServerOptions
    @OptionGroup var options: ServeOptions

    func run() async throws {
        umask(0o077)
        postern_raise_file_limit()
        let configuration = try server.load(options.values)
        Self.startLogging(configuration)
        let logger = Logger(label: "postern")
        let appliance = try await ApplianceServer(configuration, logger: logger) { try server.load(options.values) }
        defer { appliance.close() }
        var services = ServiceGroupConfiguration(
            services: appliance.services, gracefulShutdownSignals: [.sigterm, .sigint],
            logger: Logger(label: "services") { _ in SwiftLogNoOpLogHandler() })
        services.maximumGracefulShutdownDuration = Self.shutdownTime
        do {
            try await ServiceGroup(configuration: services).run()
        } catch let error as IOError {
            let reason = String(cString: strerror(error.errnoCode)).lowercased()
            throw CommandFailure(
                "cannot listen on \(appliance.addresses): \(reason); choose other --https and --http addresses")
        }
        logger.info("stopped")
    }

    /// Whether a descriptor is the journal itself: the variable alone is also inherited by programs that write elsewhere.
    static func isJournal(_ descriptor: CInt) -> Bool {
        var found = Glibc.stat()
        guard let named = getenv("JOURNAL_STREAM"), fstat(descriptor, &found) == 0 else { return false }
        return String(cString: named) == "\(found.st_dev):\(found.st_ino)"
    }

    private static func startLogging(_ configuration: Configuration) {
        LogSettings.shared.level = Logger.Level(configuration[Settings.logLevel])
        let hasTime = !isJournal(2)
        let format = configuration[Settings.logFormat]
        LoggingSystem.bootstrap { _ in LineLogHandler(format: format, hasTime: hasTime) }
    }
}
