/// Web servers in front of this one, whose word about a client's address is taken.
public struct TrustedProxies: Sendable {
    public static let none = TrustedProxies([])

    private let trusted: Set<ClientAddress>

    /// - Parameter addresses: numeric; other text is ignored.
    public init(_ addresses: [String]) { trusted = Set(addresses.compactMap { ClientAddress($0) }) }

    public func isTrusted(_ address: ClientAddress) -> Bool { trusted.contains(address) }

    /// Who a request comes from: the peer, or behind a proxy that is trusted the last one in X-Forwarded-For that is none. What
    /// stands further left may be anybody's invention.
    ///
    /// Nobody who came through a proxy is this machine's own program: neither one whose proxy is trusted nor one who says that there
    /// was one.
    public func client(_ peer: String?, _ forwardedFor: [String]) -> ClientAddress {
        let peer = ClientAddress(peer) ?? .local
        guard isTrusted(peer) else {
            return forwardedFor.isEmpty ? peer : peer.withoutLoopback
        }
        let named = forwardedFor.joined(separator: ",").split(separator: ",").reversed()
        for name in named {
            guard let address = ClientAddress(String(name.filter { $0 != " " && $0 != "\t" })) else { break }
            if !isTrusted(address) { return address.withoutLoopback }
        }
        return peer.withoutLoopback
    }
}
