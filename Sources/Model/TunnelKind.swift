/// The kind of traffic in a tunnel.
public enum TunnelKind: String, Codable, Sendable, CaseIterable {
    /// HTTP requests to a name; the server terminates TLS and parses HTTP.
    case http
    /// Connections to a port, as bytes.
    case tcp
    /// Connections to a name, identified by their TLS server name, as raw bytes. The machine holds the key.
    case tls
}
