import Glibc

/// The name (SNI) that a certificate authority sends when it checks a name by tls-alpn-01.
enum ChallengeName {
    /// A host name is returned unchanged. For an address, its name in the reverse tree of DNS (RFC 8738, section 6).
    static func text(of name: String) -> String {
        var four = in_addr()
        if inet_pton(AF_INET, name, &four) == 1 {
            return name.split(separator: ".").reversed().joined(separator: ".") + ".in-addr.arpa"
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, name, &six) == 1 else { return name.lowercased() }
        let nibbles = withUnsafeBytes(of: &six) { $0.flatMap { [$0 >> 4, $0 & 15] } }
        return nibbles.reversed().map { String($0, radix: 16) }.joined(separator: ".") + ".ip6.arpa"
    }
}
