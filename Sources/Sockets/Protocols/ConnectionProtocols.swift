public import NIOCore
public import NIOHTTP1

/// The protocol that a connection uses after setup.
public enum ConnectionOutcome: Sendable {
    /// HTTP/1.1. Requests go to the listener's responder.
    case http(HTTPConnection)
    /// Another protocol, whose handlers do all work on the event loop.
    case taken
}

/// A protocol that takes over a connection from HTTP/1.1 by an upgrade request (RFC 9110, section 7.8).
public protocol UpgradeProtocol: Sendable {
    /// The name in the `Upgrade` header, in lower case.
    var name: String { get }

    /// - Parameter connection: moves the connection to another event loop, if the protocol wants that.
    func upgrader(
        for connection: ConnectionTransfer
    ) -> any NIOTypedHTTPServerProtocolUpgrader<ConnectionOutcome>
}

/// A protocol that is chosen by the TLS client hello, before TLS answers: by server name or by ALPN.
///
/// It gets the connection with all bytes from the client hello on. It uses its own TLS or passes the bytes through.
public protocol ClientHelloProtocol: Sendable {
    /// Whether a client hello is for this protocol. Called on the connection's event loop.
    func takes(_ hello: ClientHello) -> Bool

    /// Adds the protocol's handlers. Bytes arrive after this returns.
    /// - Parameters:
    ///   - connection: moves the connection to another event loop, if the protocol wants that.
    ///   - hello: the client hello of this connection.
    func install(on channel: any Channel, for connection: ConnectionTransfer, hello: ClientHello) throws
}
