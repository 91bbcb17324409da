import Glibc

/// A client's network address as limits count it.
public struct ClientAddress: Sendable, Hashable {
    /// IPv4 whole; IPv6 by its /64, which is what one customer has, as four groups: `2001:db8:1:2`.
    public let key: String
    public let isLoopback: Bool
    /// The whole address, IPv4 as IPv6 has it; empty for a local socket.
    let bytes: [UInt8]

    /// - Parameter text: numeric; nil for a local socket.
    public init?(_ text: String?) {
        guard let text else {
            self = .local
            return
        }
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &bytes) == 1 {
            (key, isLoopback) = (bytes.prefix(4).map { "\($0)" }.joined(separator: "."), bytes[0] == 127)
            self.bytes = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + bytes.prefix(4)
            return
        }
        guard inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
        self.bytes = bytes
        // An IPv4 client on a socket for both families.
        if bytes.prefix(10).allSatisfy({ $0 == 0 }) && bytes[10] == 0xFF && bytes[11] == 0xFF {
            key = bytes.suffix(4).map { "\($0)" }.joined(separator: ".")
            isLoopback = bytes[12] == 127
            return
        }
        isLoopback = bytes.dropLast().allSatisfy { $0 == 0 } && bytes[15] == 1
        key =
            isLoopback
            ? "::1"
            : stride(from: 0, to: 8, by: 2).map {
                String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
            }.joined(separator: ":")
    }

    /// An IPv6 key by its /48, the most that a customer or a tunnel broker's user usually gets; other keys as they are. For limits whose
    /// table is crowded.
    public static func widened(_ key: String) -> String {
        let groups = key.split(separator: ":", omittingEmptySubsequences: false)
        return groups.count == 4 ? groups.prefix(3).joined(separator: ":") : key
    }

    public static let local = ClientAddress(key: "local", isLoopback: false, bytes: [])

    private init(key: String, isLoopback: Bool, bytes: [UInt8]) {
        (self.key, self.isLoopback, self.bytes) = (key, isLoopback, bytes)
    }

    /// The same address with `isLoopback` false, for clients that came through a proxy.
    public var withoutLoopback: ClientAddress { ClientAddress(key: key, isLoopback: false, bytes: bytes) }

    /// By the whole address: a neighbour of a proxy is no proxy.
    public static func == (left: ClientAddress, right: ClientAddress) -> Bool { left.bytes == right.bytes }

    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}
