/// The target of a tunnel on this machine: a port, an address with a port, or a URL.
public struct ServiceAddress: Sendable, Equatable {
    public let host: String
    public let port: Int
    public let isTLS: Bool

    /// - Parameter standardPort: nil if a port is required.
    public init?(_ text: String) {
        let lower = text.lowercased()
        isTLS = lower.hasPrefix("https://")
        let schemes = ["https://", "http://", "tcp://"]
        let rest = schemes.first(where: lower.hasPrefix).map { text.dropFirst($0.count) } ?? text[...]
        let authority = rest.hasSuffix("/") ? rest.dropLast() : rest
        if let port = Int(authority), (1...65535).contains(port) {
            // Development servers listen on the loopback address of either family.
            (host, self.port) = ("localhost", port)
            return
        }
        guard !authority.contains("/"), !authority.isEmpty else { return nil }
        let colon = authority.hasSuffix("]") ? nil : authority.lastIndex(of: ":")
        let name = authority[..<(colon ?? authority.endIndex)].filter { $0 != "[" && $0 != "]" }
        let standard = schemes.dropLast().contains(where: lower.hasPrefix) ? (isTLS ? 443 : 80) : nil
        guard !name.isEmpty, let port = colon.map({ Int(authority[authority.index(after: $0)...]) }) ?? standard,
            (1...65535).contains(port)
        else { return nil }
        (host, self.port) = (String(name), port)
    }

    public var text: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
}
