public import Model
import NIOCore
import NIOPosix
import NIOTLS
import Outbound
public import TransportSecurity

/// Checks whether a link could be opened, without opening one: the TLS handshake verifies the server's key and ours.
public enum LinkProbe {
    private static let timeout = TimeAmount.seconds(15)

    /// - Parameters:
    ///   - key: the key that the server must have.
    ///   - machine: this machine's key.
    /// - Returns: nil if the handshake works; otherwise why it does not.
    /// - Throws: `TLSError` if the keys cannot be used.
    public static func problem(
        of way: LinkWay, to address: ServerAddress, key: Fingerprint, as machine: CertificatePair
    ) async throws -> String? {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let tls = try TLSContext.linkClient(pinning: key, as: machine)
        let shaken = loop.makePromise(of: Void.self)
        let deadline = loop.scheduleTask(in: timeout) { shaken.fail(OutboundError.timeout) }
        defer { deadline.cancel() }
        let dialer = LinkDialer(address: address, tls: tls, loop: loop)
        let opened = dialer.connect(way) { channel in
            try channel.pipeline.syncOperations.addHandler(HandshakeHandler(shaken))
            return channel
        }
        opened.cascadeFailure(to: shaken)
        do {
            try await shaken.futureResult.get()
            try? await opened.get().close()
            return nil
        } catch { return describe(error) }
    }
}

/// Waits for the handshake to complete.
private final class HandshakeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let shaken: EventLoopPromise<Void>

    init(_ shaken: EventLoopPromise<Void>) { self.shaken = shaken }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { shaken.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        shaken.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        shaken.fail(OutboundError.closed)
        context.fireChannelInactive()
    }
}
