extension Settings {
    /// Tunnels of people's machines.
    static let tunnelsGroup: [any AnyTypedSetting] = [
        tunnelDomain, tunnelCertificate, tunnelKey, tunnelACME, tunnelDNSHook, tunnelDNS, tunnelPorts,
        tunnelPortAddress, tunnelMemoryMiB, abuseContact, dnsResolver, domainChallenge,
    ]

    static let tunnelDomain = TypedSetting.optionalText(
        "tunnel-domain", .domain,
        "Domain whose subdomains are tunnels, as in t.example.net; every name below it must resolve to this server.")
    static let tunnelCertificate = TypedSetting.optionalText(
        "tunnel-certificate", .path,
        "The wildcard certificate of tunnel-domain with its chain, PEM; without one visitors are shown a self-signed certificate."
    )
    static let tunnelKey = TypedSetting.optionalText(
        "tunnel-key", .path, "The wildcard certificate's private key, PEM.")
    static let tunnelACME = TypedSetting<TunnelACME>.choice(
        "tunnel-acme", standard: .off,
        "How the wildcard certificate of tunnel-domain is ordered by dns-01: not at all, with your own program that changes your DNS, or with the server answering DNS queries for _acme-challenge; acme-agree, acme-directory and the other acme settings apply here too."
    )
    static let tunnelDNSHook = TypedSetting.optionalText(
        "tunnel-dns-hook", .path,
        "With tunnel-acme hook: a program that is called with present or remove, the record's name, and its value; it must return once the record can be resolved."
    )
    static let tunnelDNS = TypedSetting.address(
        "tunnel-dns", standard: "*:8053",
        "With tunnel-acme responder: address for DNS queries for _acme-challenge; your DNS must delegate that name to this server."
    )
    static let tunnelPorts = TypedSetting<ClosedRange<Int>?>.portRange(
        "tunnel-ports", "Ports that TCP tunnels may use, as in 20000-20099; without them there are no TCP tunnels.")
    static let tunnelPortAddress = TypedSetting.text(
        "tunnel-port-address", .text, standard: "*", "Address of this machine that those ports listen on; * for all.")
    static let tunnelMemoryMiB = TypedSetting.number(
        "tunnel-memory-mib", 16...1_000_000, standard: 256,
        "Memory limit for the connections of all tunnels together, in MiB.")
    static let domainChallenge = TypedSetting<DomainChallenge>.choice(
        "domain-challenge", standard: .same,
        "How certificates of organisations' domains are validated: as acme-challenge says, or by dns-01 with a CNAME record that each domain's owner sets; dns-01 needs tunnel-acme."
    )
    static let dnsResolver = TypedSetting.address(
        "dns-resolver", standard: "off",
        "Name server for checking organisations' domains, as in 192.0.2.53:53; off uses the system's.")
    static let abuseContact = TypedSetting.optionalText(
        "abuse-contact", .text,
        "Mail address for reports about tunnels; used in the report link of every error page.")
}

/// How domains of organisations are validated.
enum DomainChallenge: String, Sendable, CaseIterable {
    case same
    case dns = "dns-01"
}

/// How proofs for the tunnel domain's certificate are added to DNS.
enum TunnelACME: String, Sendable, CaseIterable { case off, hook, responder }

extension TypedSetting where Value == ClosedRange<Int>? {
    static func portRange(_ key: String, _ help: String) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: .ports, standard: nil, help: help)) { $0.flatMap(PortRange.read) }
    }
}

/// `20000-20099`, or one port.
enum PortRange {
    static func read(_ text: String) -> ClosedRange<Int>? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = parts.first ?? nil, let last = parts.last ?? nil, parts.count <= 2,
            (1...65535).contains(first), (first...65535).contains(last)
        else { return nil }
        return first...last
    }
}
