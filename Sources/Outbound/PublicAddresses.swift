import Glibc
public import NIOCore

/// Addresses on the public Internet. Addresses that tenants name must not lead into the server's own networks.
public enum PublicAddresses {
    /// Networks that are not global (IANA special-purpose registries): this host, private and shared networks, link-local,
    /// documentation, multicast and reserved ones.
    private static let four: [(UInt32, Int)] = [
        (0x0000_0000, 8), (0x0A00_0000, 8), (0x6440_0000, 10), (0x7F00_0000, 8), (0xA9FE_0000, 16), (0xAC10_0000, 12),
        (0xC000_0000, 24), (0xC000_0200, 24), (0xC058_6300, 24), (0xC0A8_0000, 16), (0xC612_0000, 15),
        (0xC633_6400, 24), (0xCB00_7100, 24), (0xE000_0000, 4), (0xF000_0000, 4),
    ]

    public static func contains(_ address: SocketAddress) -> Bool {
        guard let text = address.ipAddress else { return false }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 { return isPublic(UInt32(bigEndian: four.s_addr)) }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text.prefix { $0 != "%" }.description, &six) == 1 else { return false }
        let bytes = withUnsafeBytes(of: &six) { Array($0) }
        let last = bytes.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        // IPv4-mapped, and IPv4 behind NAT64 (RFC 6052).
        if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF { return isPublic(last) }
        if bytes.prefix(12).elementsEqual([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) { return isPublic(last) }
        // Global unicast is 2000::/3; without documentation (2001:db8::/32), 6to4 (2002::/16) and Teredo (2001::/32).
        guard bytes[0] & 0xE0 == 0x20 else { return false }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return false }
        if bytes[0] == 0x20, bytes[1] == 0x01, bytes[2] == 0x0D, bytes[3] == 0xB8 { return false }
        return !(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0 && bytes[3] == 0)
    }

    private static func isPublic(_ address: UInt32) -> Bool {
        !four.contains { network, bits in address >> UInt32(32 - bits) == network >> UInt32(32 - bits) }
    }
}
