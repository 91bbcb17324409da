import ArgumentParser
import Client
import Model
import Wire

/// `postern tcp`: forwards a port of the server to a service on this machine.
struct TCPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcp", abstract: "Publishes a service on this machine at a port of the server.",
        discussion: """
            Example: postern tcp 22
                     postern tcp 127.0.0.1:5432 --port 20001 --allow 203.0.113.0/24

            Connections are forwarded as they are: anyone who can reach the port can try the service. --proxy-protocol sends the \
            visitor's address first, for services that read it.
            """)

    @Argument(help: "The service's port, or its address as in 127.0.0.1:5432.")
    var service: String

    @Option(help: "The port on the server; defaults to a free one.")
    var port: Int?

    @OptionGroup var visitors: VisitorOptions

    @Flag(help: "Begin each connection with a PROXY protocol header (version 2).")
    var proxyProtocol = false

    @Flag(help: "Print one JSON object per line, and nothing else, on standard output.")
    var json = false

    func validate() throws {
        guard let address = ServiceAddress(service), !address.isTLS else {
            throw ValidationError("'\(service)' is not a port or an address; use 22 or 127.0.0.1:5432.")
        }
        if let port, !(1...65535).contains(port) { throw ValidationError("--port must be 1 to 65535.") }
    }

    func run() async throws {
        let credentials = try Credentials.load()
        guard let address = ServiceAddress(service) else { throw CommandFailure("no service") }
        var request = TunnelRun.Request(
            kind: .tcp,
            service: .socket(host: address.host, port: address.port, tls: nil, sendsProxyHeader: proxyProtocol),
            title: address.text)
        request.port = port
        request.json = json
        request.options.policy = visitors.policy
        try await TunnelRun.run(
            request, address: try credentials.address(), token: credentials.token,
            software: "postern \(Postern.version)")
    }
}

/// `postern tls`: a name whose TLS the machine terminates itself.
struct TLSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tls",
        abstract: "Publishes a TLS service on this machine under a name; the server does not decrypt it.",
        discussion: """
            Example: postern tls 8443 --name vault

            The service holds the certificate and its key: the server cannot read the traffic. You obtain the certificate \
            yourself; visitors reach the service by its name on the server's HTTPS port.
            """)

    @Argument(help: "The service's port, or its address as in 127.0.0.1:8443.")
    var service: String

    @Option(help: "The first part of the name; defaults to three random words.")
    var name: String?

    @OptionGroup var visitors: VisitorOptions

    @Flag(help: "Begin each connection with a PROXY protocol header (version 2).")
    var proxyProtocol = false

    @Flag(help: "Print one JSON object per line, and nothing else, on standard output.")
    var json = false

    func validate() throws {
        guard ServiceAddress(service) != nil else {
            throw ValidationError("'\(service)' is not a port or an address; use 8443 or 127.0.0.1:8443.")
        }
    }

    func run() async throws {
        let credentials = try Credentials.load()
        guard let address = ServiceAddress(service) else { throw CommandFailure("no service") }
        var request = TunnelRun.Request(
            kind: .tls,
            service: .socket(host: address.host, port: address.port, tls: nil, sendsProxyHeader: proxyProtocol),
            title: address.text)
        request.name = name
        request.json = json
        request.options.policy = visitors.policy
        try await TunnelRun.run(
            request, address: try credentials.address(), token: credentials.token,
            software: "postern \(Postern.version)")
    }
}
