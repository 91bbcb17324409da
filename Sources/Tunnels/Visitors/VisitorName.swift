import Limits
import NIOCore
import Sockets

/// A visitor's network address.
struct VisitorName: Sendable {
    /// Numeric.
    let address: String
    let client: ClientAddress
    /// The peer's address with its port.
    let peer: String
    /// The name in the TLS client hello, for which the certificate was chosen.
    var serverName: String?
    /// Whether its forwarded addresses are trusted.
    let isTrustedProxy: Bool

    init(_ channel: any Channel, proxies: TrustedProxies) {
        let remote = channel.remoteAddress
        var text = remote?.ipAddress ?? "0.0.0.0"
        // An IPv4 client on a socket for both address families.
        if text.hasPrefix("::ffff:"), text.contains(".") { text = String(text.dropFirst("::ffff:".count)) }
        address = text
        client = ClientAddress(text) ?? .local
        isTrustedProxy = proxies.isTrusted(client)
        let host = text.contains(":") ? "[\(text)]" : text
        peer = "\(host):\(remote?.port ?? 0)"
    }
}
