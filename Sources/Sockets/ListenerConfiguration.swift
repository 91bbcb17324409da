/// One listening socket and its protocol.
public struct ListenerConfiguration: Sendable {
    public enum Role: String, Sendable {
        /// Plain HTTP for all routes: behind another program's TLS, or on loopback.
        case http
        /// Plain HTTP that only redirects to HTTPS and answers certificate authorities.
        case redirect
        case https
    }

    public enum Source: Sendable, Equatable {
        /// An address of this machine, or `*` for all. With port 0 the system chooses the port.
        case bind(host: String, port: Int)
        /// A listening socket that systemd has opened.
        case inherited(descriptor: CInt)
    }

    public let role: Role
    public let source: Source

    public init(role: Role, source: Source) {
        self.role = role
        self.source = source
    }
}

/// The address at which a listener was bound.
public struct BoundListener: Sendable {
    public let role: ListenerConfiguration.Role
    /// Numeric. Nil for a socket without a host.
    public let host: String?
    public let port: Int

    public init(role: ListenerConfiguration.Role, host: String?, port: Int) {
        self.role = role
        self.host = host
        self.port = port
    }

    /// The URL as people write it: `https://127.0.0.1:8443`.
    public var url: String {
        let scheme = role == .https ? "https" : "http"
        let name = host.map { $0.contains(":") ? "[\($0)]" : $0 } ?? "?"
        return port == (role == .https ? 443 : 80) ? "\(scheme)://\(name)" : "\(scheme)://\(name):\(port)"
    }
}
