import Client
import NIOCore
import NIOPosix
import NIOTLS
import TransportSecurity

/// Opens rooms × (guests + 1) TLS connections at once, and reports the time until all handshakes are complete.
final class Handshakes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let done: EventLoopPromise<Void>

    private init(_ done: EventLoopPromise<Void>) { self.done = done }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { done.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        done.fail(LoadError("the relay closed a connection during the TLS handshake"))
        context.fireChannelInactive()
    }

    /// - Returns: a report.
    static func run(_ plan: Plan, on loop: any EventLoop) -> EventLoopFuture<String> {
        let (begun, count) = (NIODeadline.now(), plan.rooms.count * (plan.guests + 1))
        let all = (0..<count).map { _ in
            let done = loop.makePromise(of: Void.self)
            ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let tls = try plan.address.tls() else { throw LoadError("handshakes need https") }
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(TLSHandler.client(tls, serverName: plan.address.host))
                        try pipeline.addHandler(Handshakes(done))
                    }
                }
                .connect(host: plan.address.host, port: plan.address.port).whenFailure { done.fail($0) }
            return done.futureResult
        }
        return EventLoopFuture.andAllSucceed(all, on: loop).map {
            "{\"seconds\":\(Double((NIODeadline.now() - begun).nanoseconds) / 1e9),\"peers\":\(count)}"
        }
    }
}
