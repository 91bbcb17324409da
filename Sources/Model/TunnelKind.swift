/// What a tunnel carries.
public enum TunnelKind: String, Codable, Sendable, CaseIterable {
    /// Requests to a name; the server ends TLS and reads HTTP.
    case http
    /// Connections to a port, as bytes.
    case tcp
    /// Connections to a name by its TLS server name, as bytes: the machine holds the key.
    case tls
}
