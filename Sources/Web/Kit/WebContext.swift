import Hummingbird
import Limits
import Logging
import NIOCore

/// Additional data of a request for its route.
struct WebContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The client's network address, for rate limits. Logged only if the owner wants that.
    var address: String
    /// Whether the client is a program on this machine.
    var isLoopback: Bool
    /// The server's origin for browsers, as in `Origin`. Nil if its owner has not set it.
    var publicOrigin: String?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        let client = TrustedProxies.none.client(source.channel.remoteAddress?.ipAddress, [])
        address = client.key
        isLoopback = client.isLoopback
    }
}
