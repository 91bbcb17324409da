import Glibc
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
        guard let text = channel.remoteAddress?.ipAddress else { return "local" }
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, text, &bytes) == 1 else { return text }
        // An IPv4 client on a socket for both families.
        let isMapped = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        if isMapped { return bytes.suffix(4).map { "\($0)" }.joined(separator: ".") }
        return bytes.prefix(8).map { String($0, radix: 16) }.joined(separator: ":")
    }
}
