import Glibc

/// A client's network address in the form that limits use.
public struct ClientAddress: Sendable, Hashable {
    /// An IPv4 address as a whole; an IPv6 address by its /64, which one customer usually has, as four groups:
    /// `2001:db8:1:2`.
    public let key: String
    public let isLoopback: Bool
    /// The whole address, with IPv4 mapped to IPv6; empty for a local socket.
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
        // An IPv4 client of a dual-stack socket.
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

    /// The /48 of an IPv6 key, which is the most that a customer or a tunnel broker's user usually gets; other keys
    /// unchanged. For limits whose table is crowded.
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

    /// Compares the whole address: a neighbour of a proxy is not a proxy.
    public static func == (left: ClientAddress, right: ClientAddress) -> Bool { left.bytes == right.bytes }

    public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}
