/// What the owner has set for tunnels.
public struct TunnelConfiguration: Sendable {
    /// Names of tunnels are directly below it; nil where there are no such tunnels.
    public var domain: String?
    /// The port that visitors use for names; nil for the one that HTTPS listens on.
    public var publicPort: Int?
    /// Ports of `tcp` tunnels; nil where there are none.
    public var ports: ClosedRange<Int>?
    /// Where the ports listen, an address of this machine or `*`.
    public var portHost: String
    /// Who answers for the server, as error pages and the abuse page name it; nil for nobody.
    public var abuseContact: String?
    /// Where people reach the server itself.
    public var publicURL: String?
    /// Name and version of the program, for machines.
    public var software: String
    /// SHA-256 of the public key that links carry one day; nil where the present one stays.
    public var nextLinkKey: String?
    /// What all streams of all links may hold in memory, in bytes.
    public var memoryBytes: Int

    public init(software: String) {
        self.software = software
        portHost = "*"
        memoryBytes = 256 << 20
    }

    /// Streams that a machine may have open at once: as many as visitors that one machine can serve.
    static let streamsPerLink = 10_000
    /// Tunnels that one link may serve.
    static let tunnelsPerLink = 1_000

    /// The host name of a tunnel.
    public func host(of name: String) -> String? { domain.map { "\(name).\($0)" } }

    /// The address that people open.
    /// - Parameter standardPort: where HTTPS listens, for where ``publicPort`` is not set.
    func url(name: String?, port: Int?, isHTTP: Bool, standardPort: Int) -> String {
        if let name, let host = host(of: name) {
            let https = publicPort ?? standardPort
            return isHTTP ? "https://\(host)\(https == 443 ? "" : ":\(https)")" : "tls://\(host):\(https)"
        }
        // The domain's own name need not lead here, names below it do.
        let host = publicURL.flatMap(Self.hostOf) ?? domain.map { "tcp.\($0)" } ?? "localhost"
        return "tcp://\(host):\(port ?? 0)"
    }

    private static func hostOf(_ url: String) -> String? {
        let rest = url.split(separator: "://", maxSplits: 1).last.map(String.init) ?? url
        let host = rest.prefix { $0 != "/" && $0 != ":" }
        return host.isEmpty ? nil : String(host)
    }

    /// The tunnel's name in a host name; nil where the host is not directly below the domain.
    public func name(in host: String) -> String? {
        guard let domain, host.count > domain.count + 1, host.hasSuffix(".\(domain)") else { return nil }
        let name = host.dropLast(domain.count + 1)
        return name.contains(".") ? nil : String(name)
    }
}
