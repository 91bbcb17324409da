import Model
public import TransportSecurity

/// The address of the appliance that a client talks to, and how the client verifies it.
public struct ServerAddress: Sendable, Equatable, CustomStringConvertible {
    public let host: String
    public let port: Int
    public let isSecure: Bool
    /// The only certificate to trust; nil uses the system's trust store. It has no effect over plain HTTP.
    public var pin: Fingerprint?

    /// Users usually type a name without a scheme, which means HTTPS.
    public static func completed(_ text: String) -> String { text.contains("://") ? text : "https://\(text)" }

    /// Reads `https://host[:port]` or `http://host[:port]`.
    /// - Throws: ``ClientError`` that explains the mistake.
    public init(_ url: String, pin: Fingerprint? = nil) throws(ClientError) {
        let invalid = ClientError(
            "'\(url)' is not a server address; use https://HOST or http://HOST:PORT", status: .usage)
        let lower = url.lowercased()
        guard let scheme = ["https://", "http://"].first(where: lower.hasPrefix) else { throw invalid }
        isSecure = scheme == "https://"
        self.pin = isSecure ? pin : nil
        let standard = isSecure ? 443 : 80
        let rest = url.dropFirst(scheme.count).prefix { $0 != "/" }
        let name: Substring
        let tail: Substring
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            name = rest[rest.index(after: rest.startIndex)..<end]
            tail = rest[rest.index(after: end)...]
        } else {
            name = rest.prefix { $0 != ":" }
            tail = rest[name.endIndex...]
        }
        guard !name.isEmpty, tail.isEmpty || tail.hasPrefix(":"),
            let port = tail.isEmpty ? standard : Int(tail.dropFirst()), (1...65535).contains(port)
        else { throw invalid }
        host = String(name)
        self.port = port
    }

    public var description: String { (isSecure ? "https://" : "http://") + authority }

    /// The value of the `Host` header.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Nil over plain HTTP.
    /// - Throws: `TLSError`.
    public func tls() throws(TLSError) -> TLSContext? {
        isSecure ? try ClientContexts.context(pin.map { .pinned($0) } ?? .system) : nil
    }
}
