/// A network of addresses, as in `203.0.113.0/24`, `2001:db8::/32`, or one address.
public struct AddressRange: Sendable, Equatable {
    /// IPv4 addresses are mapped to IPv6.
    private let bytes: [UInt8]
    private let bits: Int

    /// - Returns: nil if the text is not a network, or if the prefix is longer than the address.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = ClientAddress(String(parts[0])), address.bytes.count == 16 else {
            return nil
        }
        bytes = address.bytes
        let isFour = !parts[0].contains(":")
        let longest = isFour ? 32 : 128
        guard parts.count == 2 else {
            bits = 128
            return
        }
        guard let prefix = Int(parts[1]), (0...longest).contains(prefix), parts[1].allSatisfy(\.isNumber) else {
            return nil
        }
        bits = prefix + (isFour ? 96 : 0)
    }

    public func contains(_ address: ClientAddress) -> Bool {
        guard address.bytes.count == 16 else { return false }
        let whole = bits / 8
        guard bytes[..<whole] == address.bytes[..<whole] else { return false }
        guard bits % 8 > 0 else { return true }
        let mask = UInt8.max << (8 - bits % 8)
        return bytes[whole] & mask == address.bytes[whole] & mask
    }
}
