public import NIOCore
import NIOTLS
public import TransportSecurity

/// Looks which certificate a visitor of a name is shown.
public struct CertificateProbe: Sendable {
    /// The maximum duration of the handshake.
    private static let patience = TimeAmount.seconds(10)

    private let connector: Connector

    public init(_ connector: Connector) { self.connector = connector }

    /// - Parameters:
    ///   - address: where the name leads, numeric.
    ///   - expected: the certificate that should be shown.
    /// - Returns: the fingerprint of another certificate that is shown. Nil if it is the expected one, or if there is no
    ///   answer: a server cannot always reach itself by its public address.
    public func otherCertificate(
        than expected: Fingerprint, of name: String, at address: String, port: Int
    ) async -> Fingerprint? {
        guard let tls = try? TLSContext.client(trust: .pinned(expected)) else { return nil }
        let shown = try? await connector.connect(host: address, port: port, tls: nil) { channel in
            let promise = channel.eventLoop.makePromise(of: Fingerprint?.self)
            try channel.pipeline.syncOperations.addHandler(TLSHandler.client(tls, serverName: name))
            try channel.pipeline.syncOperations.addHandler(ShownCertificate(promise))
            channel.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
            return promise.futureResult
        }.get()
        return try? await shown?.get() ?? nil
    }
}

/// Ends the connection once it is known which certificate is shown.
private final class ShownCertificate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var promise: EventLoopPromise<Fingerprint?>?

    init(_ promise: EventLoopPromise<Fingerprint?>) { self.promise = promise }

    private func end(_ found: Fingerprint?, _ context: ChannelHandlerContext) {
        promise?.succeed(found)
        promise = nil
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { return end(nil, context) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end((error as? TLSError)?.found, context) }

    /// Also for a connection that was refused, and never became active.
    func handlerRemoved(context: ChannelHandlerContext) {
        promise?.succeed(nil)
        promise = nil
    }
}
