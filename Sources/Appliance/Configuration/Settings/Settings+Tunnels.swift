extension Settings {
    /// Tunnels of people's machines.
    static let tunnelsGroup: [any AnyTypedSetting] = [
        tunnelDomain, tunnelCertificate, tunnelKey, tunnelPorts, tunnelPortAddress, tunnelMemoryMiB, abuseContact,
    ]

    static let tunnelDomain = TypedSetting.optionalText(
        "tunnel-domain", .domain,
        "Domain whose subdomains are tunnels, as in t.example.net; every name below it must lead to this server.")
    static let tunnelCertificate = TypedSetting.optionalText(
        "tunnel-certificate", .path,
        "The wildcard certificate of tunnel-domain with its chain, PEM; without one visitors are shown a self-signed certificate."
    )
    static let tunnelKey = TypedSetting.optionalText(
        "tunnel-key", .path, "The wildcard certificate's private key, PEM.")
    static let tunnelPorts = TypedSetting<ClosedRange<Int>?>.portRange(
        "tunnel-ports", "Ports that TCP tunnels may use, as in 20000-20099; without them there are no TCP tunnels.")
    static let tunnelPortAddress = TypedSetting.text(
        "tunnel-port-address", .text, standard: "*", "Address of this machine that those ports listen on; * for all.")
    static let tunnelMemoryMiB = TypedSetting.number(
        "tunnel-memory-mib", 16...1_000_000, standard: 256,
        "What all tunnels' connections together may hold in memory, in MiB.")
    static let abuseContact = TypedSetting.optionalText(
        "abuse-contact", .text,
        "Who takes reports about tunnels, as an address for mails; shown on every error page's report link.")
}

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
