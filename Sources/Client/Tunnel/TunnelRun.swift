public import Model
import NIOCore
import NIOHTTP1
import NIOPosix
public import TransportSecurity
public import Wire

/// `postern http`, `postern tcp` and `postern tls`: a service of this machine, reachable through the server.
public enum TunnelRun {
    /// The service to publish, and its options.
    public struct Request: Sendable {
        public var kind: TunnelKind
        /// Nil picks random words.
        public var name: String?
        /// Nil picks a free port.
        public var port: Int?
        public var service: Service
        public var options: TunnelOptions
        /// Whether to print one JSON object for each event instead of text.
        public var json: Bool
        /// The name of the service that is shown to people.
        public var title: String
        /// Shown first, for example warnings about dangerous options.
        public var forewords: [String]

        public init(kind: TunnelKind, service: Service, title: String) {
            self.kind = kind
            self.service = service
            self.title = title
            options = TunnelOptions()
            json = false
            forewords = []
        }
    }

    /// Where this machine sends the connections.
    public enum Service: Sendable {
        /// - Parameters:
        ///   - tls: nil speaks plain TCP.
        ///   - sendsProxyHeader: each connection begins with the visitor's address (PROXY protocol, version 2).
        ///   - signature: only requests that are signed so reach the service.
        case socket(
            host: String, port: Int, tls: TLSContext?, sendsProxyHeader: Bool, signature: WebhookSignature? = nil)
        /// Files below a directory.
        case directory(FileService)
    }

    /// Runs until it is stopped.
    /// - Parameter software: this program's name and version.
    /// - Throws: ``ClientError``.
    public static func run(
        _ request: Request, address: ServerAddress, token: String, software: String
    ) async throws {
        let api = APIClient(address: address, token: token)
        guard address.isSecure else {
            throw ClientError("tunnels require a server that uses HTTPS; \(address) does not", status: .usage)
        }
        let link = try await api.link()
        guard let key = Fingerprint(link.key) else {
            throw ClientError(
                "\(address) does not announce a key for agent connections; it is too old or not a Postern server")
        }
        let tunnel = try await api.createTunnel(
            NewTunnel(kind: request.kind, name: request.name, port: request.port))
        let tls = try TLSContext.linkClient(pinning: key)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let finished = loop.flatSubmit { () -> EventLoopFuture<Void> in
            TunnelRunner(
                request, tunnel: tunnel, api: api, token: token, tls: tls, software: software, loop: loop
            ).start()
        }
        try await finished.get()
    }
}

extension APIClient {
    /// How a machine opens its link.
    public func link() async throws -> LinkResource { try await call(.GET, "/link", LinkResource.self) }

    func createTunnel(_ wanted: NewTunnel) async throws -> TunnelResource {
        try await call(.POST, "/tunnels", TunnelResource.self, body: wanted)
    }

    /// - Parameter all: whether to list the tunnels of all members of the organisation.
    public func tunnels(all: Bool) async throws -> [TunnelResource] {
        try await call(.GET, all ? "/tunnels?all=yes" : "/tunnels", [TunnelResource].self)
    }

    /// - Parameter named: the tunnel's id, name or port.
    public func tunnel(_ named: String) async throws -> TunnelResource {
        try await call(.GET, "/tunnels/\(PercentEncoding.encoded(named))", TunnelResource.self)
    }

    /// - Parameter verb: `stop`, `pause` or `resume`.
    public func change(tunnel named: String, _ verb: String) async throws {
        try await call(.POST, "/tunnels/\(PercentEncoding.encoded(named))/\(verb)")
    }

    public func remove(tunnel named: String) async throws {
        try await call(.DELETE, "/tunnels/\(PercentEncoding.encoded(named))")
    }
}
