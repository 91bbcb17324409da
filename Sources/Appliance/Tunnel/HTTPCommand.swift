import ArgumentParser
import Client
import Model
import TransportSecurity
import Wire

/// `postern http`: gives a web server on this machine a public address.
struct HTTPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "http", abstract: "Publishes a web server on this machine at an https address.",
        discussion: """
            Example: postern http 3000
                     postern http 3000 --name demo --basic-auth guest:correct-horse
                     postern http 3000 --private
                     postern http --directory ./site
                     postern http https://127.0.0.1:8443 --upstream-ca ca.pem

            Prints the address, and then each request. The address is valid while the command runs; one that you \
            choose with --name stays reserved for you.
            """)

    @Argument(help: "The port of the web server, or its address as in http://127.0.0.1:3000.")
    var service: String?

    @Option(help: "The first part of the address; defaults to three random words.")
    var name: String?

    @Option(help: "Serve the files of this directory instead of a web server.")
    var directory: String?

    @Flag(help: "With --directory: list the files of directories without an index.html.")
    var list = false

    @OptionGroup var visitors: VisitorOptions
    @OptionGroup var rules: PolicyOptions

    @Option(help: ArgumentHelp("The Host header sent to the web server; defaults to the visitor's.", valueName: "host"))
    var hostHeader: String?

    @Option(help: "Forward only requests for this path and paths below it.")
    var path: String?

    @Option(help: ArgumentHelp("Seconds that an unused connection to the web server is kept.", valueName: "seconds"))
    var keepalive = 4

    @Option(help: ArgumentHelp("Seconds that the web server may take to begin its response.", valueName: "seconds"))
    var timeout = 30

    @Option(help: ArgumentHelp("Root certificates of an https web server, PEM.", valueName: "file"))
    var upstreamCA: String?

    @Flag(help: "Accept any certificate from an https web server.")
    var upstreamInsecure = false

    @Option(
        help: ArgumentHelp(
            "Forward only webhooks signed with the secret in a file, verified on this machine: stripe:FILE, github:FILE, slack:FILE or hmac:HEADER:FILE.",
            valueName: "sender:file"))
    var verify: String?

    @Flag(help: "Print one JSON object per line, and nothing else, on standard output.")
    var json = false

    func validate() throws {
        guard (service == nil) != (directory == nil) else {
            throw ValidationError("Give either the web server's port or --directory.")
        }
        if list && directory == nil { throw ValidationError("--list requires --directory.") }
        if let service, ServiceAddress(service) == nil {
            throw ValidationError("'\(service)' is not a port or an address; use 3000 or http://127.0.0.1:3000.")
        }
        if verify != nil && directory != nil {
            throw ValidationError("--verify is for web servers, not for --directory.")
        }
        if let verify, WebhookSignature.parse(verify) == nil {
            throw ValidationError(
                "'\(verify)' is not a webhook signature; use stripe:FILE, github:FILE, slack:FILE or hmac:HEADER:FILE.")
        }
        if upstreamCA != nil && upstreamInsecure {
            throw ValidationError("--upstream-ca and --upstream-insecure cannot be combined.")
        }
        guard (0...300).contains(keepalive) else { throw ValidationError("--keepalive must be 0 to 300.") }
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout must be 1 to 3600.") }
    }

    func run() async throws {
        let credentials = try Credentials.load()
        var request = try self.request()
        request.name = name
        request.json = json
        var policy = try rules.policy()
        visitors.apply(to: &policy)
        request.options.policy = policy.isEmpty ? nil : policy
        request.options.hostHeader = hostHeader
        request.options.path = path
        request.options.keepAlive = keepalive
        request.options.headTimeout = timeout
        try await TunnelRun.run(
            request, address: try credentials.address(), token: credentials.token,
            software: "postern \(Postern.version)")
    }

    private func request() throws -> TunnelRun.Request {
        if let directory {
            let files = try FileService(directory: directory, lists: list)
            return TunnelRun.Request(kind: .http, service: .directory(files), title: "the files in \(directory)")
        }
        // Checked in `validate`.
        guard let address = service.flatMap(ServiceAddress.init) else { throw CommandFailure("no service") }
        var request = TunnelRun.Request(
            kind: .http,
            service: .socket(
                host: address.host, port: address.port, tls: try tls(address), sendsProxyHeader: false,
                signature: try signature()),
            title: "\(address.isTLS ? "https" : "http")://\(address.text)")
        if upstreamInsecure {
            request.forewords.append(
                "WARNING: --upstream-insecure accepts any certificate; anyone on the network between here and \(address.host) can read and change everything."
            )
        }
        return request
    }

    private func signature() throws -> WebhookSignature? {
        guard let verify, let (sender, file) = WebhookSignature.parse(verify) else { return nil }
        return try WebhookSignature(sender, secret: try PolicyFile.text(file).trimmed)
    }

    private func tls(_ address: ServiceAddress) throws -> TLSContext? {
        guard address.isTLS else {
            if upstreamCA != nil || upstreamInsecure {
                throw CommandFailure("--upstream-ca and --upstream-insecure are for https://… addresses", status: 2)
            }
            return nil
        }
        if upstreamInsecure { return try ClientContexts.context(.anyone) }
        return try ClientContexts.context(upstreamCA.map { .authorities(file: $0) } ?? .system)
    }
}
