/// The parts of an `https://` or `http://` address.
public struct WebAddress: Equatable, Sendable {
    public let host: String
    public let port: Int
    /// The path and query.
    public let path: String
    private let standardPort: Int

    /// - Parameter scheme: `https` or `http`; others are not supported.
    public init?(_ url: String, scheme: String) {
        guard url.lowercased().hasPrefix("\(scheme)://") else { return nil }
        standardPort = scheme == "https" ? 443 : 80
        let rest = url.dropFirst(scheme.count + "://".count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let tail = rest[authority.endIndex...]
        path = tail.hasPrefix("/") ? String(tail) : "/\(tail)"
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let name = authority[..<(colon ?? authority.endIndex)].filter { $0 != "[" && $0 != "]" }
        guard !name.isEmpty,
            let port = colon.map({ Int(authority[authority.index(after: $0)...]) }) ?? standardPort,
            (1...65535).contains(port)
        else { return nil }
        host = String(name)
        self.port = port
    }

    /// The value of the `Host` header.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == standardPort ? name : "\(name):\(port)"
    }
}
