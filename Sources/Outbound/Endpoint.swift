public import TransportSecurity

/// The target of requests: a host by name and port, with or without TLS, or a socket in the file system.
public enum Endpoint: Sendable, Hashable {
    case https(host: String, port: Int, TLSContext)
    case http(host: String, port: Int)
    /// A stream socket in the file system, such as those of Docker and systemd.
    case unix(path: String)

    /// - Parameter tls: nil speaks plain HTTP.
    public init(host: String, port: Int, tls: TLSContext?) {
        self = tls.map { .https(host: host, port: port, $0) } ?? .http(host: host, port: port)
    }

    /// The value of the `Host` header.
    public var authority: String {
        switch self {
        case .https(let host, let port, _): Self.authority(host, port, standard: 443)
        case .http(let host, let port): Self.authority(host, port, standard: 80)
        case .unix: "localhost"
        }
    }

    private static func authority(_ host: String, _ port: Int, standard: Int) -> String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == standard ? name : "\(name):\(port)"
    }

    public static func == (left: Endpoint, right: Endpoint) -> Bool {
        switch (left, right) {
        case (.https(let host, let port, let tls), .https(let otherHost, let otherPort, let otherTLS)):
            host == otherHost && port == otherPort && tls === otherTLS
        case (.http(let host, let port), .http(let otherHost, let otherPort)): host == otherHost && port == otherPort
        case (.unix(let path), .unix(let other)): path == other
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .https(let host, let port, let tls):
            hasher.combine(host)
            hasher.combine(port)
            hasher.combine(ObjectIdentifier(tls))
        case .http(let host, let port):
            hasher.combine(host)
            hasher.combine(port)
        case .unix(let path): hasher.combine(path)
        }
    }
}
