public import NIOCore
public import NIOHTTP1

/// What a connection has become.
public enum ConnectionOutcome: Sendable {
    /// HTTP/1.1; requests go to the listener's responder.
    case http(HTTPConnection)
    /// Another protocol, whose handlers do everything on the event loop.
    case taken
}

/// A protocol that takes a connection over from HTTP/1.1 by an upgrade request (RFC 9110, section 7.8).
public protocol UpgradeProtocol: Sendable {
    /// As the `Upgrade` header names it, in lower case.
    var name: String { get }

    /// - Parameter connection: takes the connection to another event loop, if the protocol wants that.
    func upgrader(
        for connection: ConnectionTransfer
    ) -> any NIOTypedHTTPServerProtocolUpgrader<ConnectionOutcome>
}

/// A protocol that is chosen by the TLS client hello, before TLS answers: by server name or by ALPN.
///
/// It gets the connection with all bytes from the client hello on, and brings its own TLS, or passes the bytes through.
public protocol ClientHelloProtocol: Sendable {
    /// Whether a client hello is for this protocol. Called on the connection's event loop.
    func takes(_ hello: ClientHello) -> Bool

    /// Adds the protocol's handlers. Bytes arrive after this returns.
    /// - Parameters:
    ///   - connection: takes the connection to another event loop, if the protocol wants that.
    ///   - hello: what this connection asked for.
    func install(on channel: any Channel, for connection: ConnectionTransfer, hello: ClientHello) throws
}
