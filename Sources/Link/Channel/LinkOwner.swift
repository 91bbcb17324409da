public import NIOCore

/// Handles the events of a link as a whole, on its event loop.
public protocol LinkOwner: AnyObject {
    /// The machine has identified itself. The server welcomes it or ends the link.
    func linkGreeted(_ hello: LinkHello, by link: LinkHandler)
    func linkWelcomed(_ welcome: LinkWelcome, by link: LinkHandler)
    /// The peer opened a stream. The owner accepts or rejects it, now or later.
    func linkOpened(_ stream: LinkStream, by link: LinkHandler)
    func linkCalled(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler)
    func linkAnswered(_ number: UInt32, _ json: ByteBuffer, by link: LinkHandler)
    func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler)
    /// The connection reported an error; ``linkEnded(_:by:)`` follows.
    func linkFailed(_ error: any Error, by link: LinkHandler)
    /// The server is stopping.
    func linkShouldQuiesce()
    /// Called once, after the owner of every stream was told.
    func linkEnded(_ error: LinkError?, by link: LinkHandler)
}

extension LinkOwner {
    public func linkGreeted(_ hello: LinkHello, by link: LinkHandler) {}
    public func linkWelcomed(_ welcome: LinkWelcome, by link: LinkHandler) {}
    public func linkGoesAway(_ reason: LinkGoAway, by link: LinkHandler) {}
    public func linkFailed(_ error: any Error, by link: LinkHandler) {}
    public func linkShouldQuiesce() {}
}
