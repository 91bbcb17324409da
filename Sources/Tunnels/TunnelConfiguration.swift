/// The owner's settings for tunnels.
public struct TunnelConfiguration: Sendable {
    /// The names of tunnels are directly below this domain. Nil if there are no such tunnels.
    public var domain: String?
    /// The port that visitors use for names. Nil for the HTTPS listener's port.
    public var publicPort: Int?
    /// The ports of `tcp` tunnels. Nil if there are none.
    public var ports: ClosedRange<Int>?
    /// The address on which the ports listen: an address of this machine or `*`.
    public var portHost: String
    /// Who is responsible for the server, as shown on error pages and the abuse page. Nil for nobody.
    public var abuseContact: String?
    /// The public address of the server itself.
    public var publicURL: String?
    /// Name and version of the program, sent to machines.
    public var software: String
    /// SHA-256 of the public key that links will use in the future. Nil if the current key stays.
    public var nextLinkKey: String?
    /// The memory that all streams of all links may use, in bytes.
    public var memoryBytes: Int

    public init(software: String) {
        self.software = software
        portHost = "*"
        memoryBytes = 256 << 20
    }

    /// The maximum number of open streams of a machine: as many as the visitors one machine can serve.
    static let streamsPerLink = 10_000
    /// The maximum number of tunnels of one link.
    static let tunnelsPerLink = 1_000

    /// The host name of a tunnel.
    public func host(of name: String) -> String? { domain.map { "\(name).\($0)" } }

    /// The address that people open.
    /// - Parameter standardPort: the HTTPS listener's port, used if ``publicPort`` is not set.
    func url(name: String?, port: Int?, isHTTP: Bool, standardPort: Int) -> String {
        if let name, let host = host(of: name) {
            let https = publicPort ?? standardPort
            return isHTTP ? "https://\(host)\(https == 443 ? "" : ":\(https)")" : "tls://\(host):\(https)"
        }
        // The domain's own name may point to another server. Names below it point here.
        let host = publicURL.flatMap(Self.hostOf) ?? domain.map { "tcp.\($0)" } ?? "localhost"
        return "tcp://\(host):\(port ?? 0)"
    }

    private static func hostOf(_ url: String) -> String? {
        let rest = url.split(separator: "://", maxSplits: 1).last.map(String.init) ?? url
        let host = rest.prefix { $0 != "/" && $0 != ":" }
        return host.isEmpty ? nil : String(host)
    }

    /// The tunnel's name in a host name. Nil if the host is not directly below the domain.
    public func name(in host: String) -> String? {
        guard let domain, host.count > domain.count + 1, host.hasSuffix(".\(domain)") else { return nil }
        let name = host.dropLast(domain.count + 1)
        return name.contains(".") ? nil : String(name)
    }
}
