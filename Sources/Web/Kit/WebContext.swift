import Hummingbird
import Limits
import Logging
import NIOCore

/// What a route knows of a request beside the request itself.
struct WebContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The client's network address, for rate limits; logged only where its owner wants that.
    var address: String
    /// The client is a program on this machine.
    var isLoopback: Bool
    /// What browsers call this server, as `Origin` has it; nil where its owner has not said.
    var publicOrigin: String?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        let client = TrustedProxies.none.client(source.channel.remoteAddress?.ipAddress, [])
        address = client.key
        isLoopback = client.isLoopback
    }
}
