import Hummingbird
import Logging
import NIOCore

/// What a route knows of a request beside the request itself.
struct WebContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The peer's network address, for rate limits; never logged.
    let address: String
    /// The peer is a program on this machine.
    let isLoopback: Bool

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        address = ClientAddress.text(of: source.channel)
        let numeric = source.channel.remoteAddress?.ipAddress ?? ""
        isLoopback = numeric == "::1" || numeric.hasPrefix("127.") || numeric.hasPrefix("::ffff:127.")
    }
}

/// A client's address as rate limits count it.
enum ClientAddress {
    /// IPv4 whole; IPv6 by its /64, which is what one customer has.
    static func text(of channel: any Channel) -> String {
        guard let address = channel.remoteAddress?.ipAddress else { return "local" }
        guard address.contains(":") else { return address }
        return address.split(separator: ":", omittingEmptySubsequences: false).prefix(4).joined(separator: ":")
    }
}
