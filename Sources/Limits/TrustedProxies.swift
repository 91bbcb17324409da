/// Web servers in front of this one that are trusted to report a client's address.
public struct TrustedProxies: Sendable {
    public static let none = TrustedProxies([])

    private let trusted: Set<ClientAddress>

    /// - Parameter addresses: numeric addresses; other text is ignored.
    public init(_ addresses: [String]) { trusted = Set(addresses.compactMap { ClientAddress($0) }) }

    public func isTrusted(_ address: ClientAddress) -> Bool { trusted.contains(address) }

    /// The address that a request comes from: the peer or, behind a trusted proxy, the last address in X-Forwarded-For
    /// that is not a trusted proxy. Anybody may have made up the entries before it.
    ///
    /// A client behind a proxy never counts as a program on this machine, whether the proxy is trusted or the request
    /// only claims to have passed one.
    public func client(_ peer: String?, _ forwardedFor: [String]) -> ClientAddress {
        let peer = ClientAddress(peer) ?? .local
        guard isTrusted(peer) else {
            return forwardedFor.isEmpty ? peer : peer.withoutLoopback
        }
        let named = forwardedFor.joined(separator: ",").split(separator: ",").reversed()
        for name in named {
            guard let address = Self.address(name) else { break }
            if !isTrusted(address) { return address.withoutLoopback }
        }
        return peer.withoutLoopback
    }

    /// An entry of X-Forwarded-For: an address, which some proxies write with a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    private static func address(_ entry: Substring) -> ClientAddress? {
        let text = entry.filter { $0 != " " && $0 != "\t" }
        if let address = ClientAddress(text) { return address }
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || isPort(rest) else { return nil }
            return ClientAddress(String(text[text.index(after: text.startIndex)..<end]))
        }
        guard let colon = text.lastIndex(of: ":"), isPort(text[colon...]) else { return nil }
        return ClientAddress(String(text[..<colon]))
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.first == ":" && UInt16(text.dropFirst()) != nil && text.dropFirst().allSatisfy(\.isASCII)
    }
}
