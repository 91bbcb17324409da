import Glibc
import HTTPTypes

/// A client's network address as limits count it.
struct ClientAddress: Sendable, Hashable {
    /// IPv4 whole; IPv6 by its /64, which is what one customer has.
    let key: String
    let isLoopback: Bool
    /// The whole address, IPv4 as IPv6 has it; empty for a local socket.
    private let bytes: [UInt8]

    /// - Parameter text: numeric; nil for a local socket.
    init?(_ text: String?) {
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
        key = isLoopback ? "::1" : bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":")
    }

    /// An IPv6 key by its /48, the most that a customer or a tunnel broker's user usually gets; other keys as they are. For limits whose
    /// table is crowded.
    static func widened(_ key: String) -> String {
        let groups = key.split(separator: ":", omittingEmptySubsequences: false)
        return groups.count == 4 ? groups.prefix(3).joined(separator: ":") : key
    }

    static let local = ClientAddress(key: "local", isLoopback: false, bytes: [])

    private init(key: String, isLoopback: Bool, bytes: [UInt8]) {
        (self.key, self.isLoopback, self.bytes) = (key, isLoopback, bytes)
    }

    /// The same client, where it is not known to be a program of this machine.
    fileprivate var elsewhere: ClientAddress { ClientAddress(key: key, isLoopback: false, bytes: bytes) }

    /// By the whole address: a neighbour of a proxy is no proxy.
    static func == (left: ClientAddress, right: ClientAddress) -> Bool { left.bytes == right.bytes }

    func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}

/// Web servers in front of this one, whose word about a client's address is taken.
struct TrustedProxies: Sendable {
    static let none = TrustedProxies([])

    private let trusted: Set<ClientAddress>

    /// - Parameter addresses: numeric; what is none is never met.
    init(_ addresses: [String]) { trusted = Set(addresses.compactMap { ClientAddress($0) }) }

    func isTrusted(_ address: ClientAddress) -> Bool { trusted.contains(address) }

    /// Who a request comes from: the peer, or behind a proxy that is trusted the last one in X-Forwarded-For that is none. What
    /// stands further left may be anybody's invention.
    ///
    /// Nobody who came through a proxy is this machine's own program: neither one whose proxy is trusted nor one who says that there
    /// was one.
    func client(_ peer: String?, _ forwardedFor: [String]) -> ClientAddress {
        let peer = ClientAddress(peer) ?? .local
        guard isTrusted(peer) else {
            return forwardedFor.isEmpty ? peer : peer.elsewhere
        }
        let named = forwardedFor.joined(separator: ",").split(separator: ",").reversed()
        for name in named {
            guard let address = ClientAddress(String(name.filter { $0 != " " && $0 != "\t" })) else { break }
            if !isTrusted(address) { return address.elsewhere }
        }
        return peer.elsewhere
    }
}

extension HTTPField.Name {
    // A valid field name; only an invalid one would give nil.
    static let forwardedFor = Self("X-Forwarded-For")!
}
