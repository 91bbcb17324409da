import Glibc
public import NIOCore
import NIOPosix
import TransportSecurity

/// Moves a connection to another event loop: duplicates the socket's descriptor and moves the TLS state.
public struct ConnectionTransfer: Sendable {
    enum Failure: Error {
        /// There are pending writes, or the socket is closing.
        case busy
        /// The system's error.
        case descriptor(errno: CInt)
    }

    /// The receive buffers of relay connections, in bytes. NIO keeps the last buffer of every channel, so the buffers
    /// start small. They grow with full reads.
    public static let receiveAllocator = AdaptiveRecvByteBufferAllocator(minimum: 256, initial: 1024, maximum: 64 << 10)

    let lease: ConnectionLease
    let draining: Draining

    public func move(
        _ channel: any Channel, to loop: any EventLoop, install: @escaping @Sendable (any Channel) throws -> Void
    ) throws -> EventLoopFuture<Void> {
        let pipeline = channel.pipeline.syncOperations
        // Do not wait for a peer that does not even read the response to its handshake.
        guard try channel.syncOptions?.getOption(.bufferedWritableBytes) == 0 else { throw Failure.busy }
        // Read errno at once: later calls change it.
        let copied = try pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            let copy = fcntl($0, F_DUPFD_CLOEXEC, 0)
            return (descriptor: copy, errno: copy < 0 ? errno : 0)
        }
        guard let copied else { throw Failure.descriptor(errno: EBADF) }
        let socket = copied.descriptor
        guard socket >= 0 else { throw Failure.descriptor(errno: copied.errno) }
        let session: TLSHandler.Session?
        do { session = try detachTLS(pipeline) } catch {
            close(socket)
            throw error
        }
        let (lease, draining) = (self.lease, self.draining)
        let arrival = loop.makePromise(of: Void.self)
        draining.move(until: arrival.futureResult)
        // The TLS session is detached, so this closes only the original descriptor. The peer does not notice it.
        channel.close(promise: nil)
        ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.recvAllocator, value: Self.receiveAllocator)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    lease.hold(until: channel)
                    draining.add(channel)
                    if let session {
                        try channel.pipeline.syncOperations.addHandler(TLSHandler.continuing(session))
                    }
                    try install(channel)
                }
            }
            .withConnectedSocket(socket).map { _ in }.cascade(to: arrival)
        return arrival.futureResult
    }

    private func detachTLS(_ pipeline: ChannelPipeline.SynchronousOperations) throws -> TLSHandler.Session? {
        guard let handler = try? pipeline.handler(type: TLSHandler.self) else { return nil }
        guard let session = handler.detach() else { throw Failure.busy }
        return session
    }
}
