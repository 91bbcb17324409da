public import Background
import Glibc
public import Logging
public import NIOCore
import NIOPosix

/// All listening sockets of the server: bound here or inherited. They are served until they are told to stop, then
/// drained.
public final class Listeners: Sendable {
    /// The number of connections that may wait to be accepted: a burst of one second at a rate that one core can
    /// handle.
    private static let backlog: CInt = 1024

    /// The size of a read, in bytes. Requests are small, and the bytes that were read wait while a request is answered.
    private static let reads = AdaptiveRecvByteBufferAllocator(minimum: 256, initial: 2048, maximum: 16 << 10)

    private typealias Accepted = NIOAsyncChannel<ConnectionSetup.Value, Never>

    private let accepted: [(channel: Accepted, setup: ConnectionSetup)]
    private let draining: Draining
    private let background: BackgroundWork
    private let group: any EventLoopGroup
    private let logger: Logger
    public let bound: [BoundListener]

    /// Opens all sockets or none.
    /// - Throws: the system's error. Sockets that are already open are closed again.
    public init(
        _ configurations: [ListenerConfiguration], group: any EventLoopGroup, logger: Logger, draining: Draining,
        events: ConnectionEvents, background: BackgroundWork,
        setup: (ListenerConfiguration) -> ConnectionSetup
    ) async throws {
        var accepted: [(Accepted, ConnectionSetup)] = []
        var bound: [BoundListener] = []
        do {
            for configuration in configurations {
                let setup = setup(configuration)
                let channel = try await Self.open(configuration.source, setup, group, logger, events)
                let address = channel.channel.localAddress
                bound.append(
                    BoundListener(role: configuration.role, host: address?.ipAddress, port: address?.port ?? 0))
                accepted.append((channel, setup))
            }
        } catch {
            for (channel, _) in accepted { try? await channel.channel.close() }
            throw error
        }
        self.accepted = accepted
        self.bound = bound
        self.draining = draining
        self.background = background
        self.group = group
        self.logger = logger
    }

    /// Serves until ``drain()`` is called, then until the last connection has ended.
    public func serve() async {
        await withDiscardingTaskGroup { tasks in
            for (channel, setup) in accepted {
                tasks.addTask { await self.accept(from: channel, setup) }
            }
        }
        // Peers of the relay have no task.
        await draining.wait()
    }

    private func accept(from channel: Accepted, _ setup: ConnectionSetup) async {
        let logger = self.logger
        await withDiscardingTaskGroup { tasks in
            do {
                try await channel.executeThenClose { inbound in
                    for try await connection in inbound {
                        tasks.addTask { await setup.handle(value: connection, logger: logger) }
                    }
                }
            } catch {
                logger.error("a listener failed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Accepts no more connections and ends the existing ones: responses are finished, idle connections are closed.
    public func drain() {
        background.run(isEssential: true) { [self] in
            for (channel, _) in accepted {
                // Connections in the backlog stay there: systemd gives them to the next service.
                do { try await channel.channel.setOption(.autoRead, value: false).get() } catch {}
            }
            // If a listener closes, NIO drops a connection that is still being set up. The set-up runs on the
            // connection's event loop and returns to the listener's: after two rounds over all loops none is in
            // progress.
            for _ in 0..<2 {
                for loop in group.makeIterator() { do { try await loop.submit {}.get() } catch {} }
            }
            for (channel, _) in accepted { channel.channel.close(promise: nil) }
            draining.begin()
        }
    }

    private static func open(
        _ source: ListenerConfiguration.Source, _ setup: ConnectionSetup, _ group: any EventLoopGroup,
        _ logger: Logger, _ events: ConnectionEvents
    ) async throws -> Accepted {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(AcceptFailureHandler(events: events))
                    try pipeline.addHandler(
                        AcceptBackoffHandler(shouldForwardIOErrorCaught: false) {
                            AcceptFailureHandler.pause(after: $0)
                        })
                }
            }
            .childChannelOption(.recvAllocator, value: reads)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // Complete frames are flushed: waiting for more would only delay keystrokes.
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
        let initializer: @Sendable (any Channel) -> EventLoopFuture<ConnectionSetup.Value> = {
            setup.setup(channel: $0, logger: logger)
        }
        switch source {
        case .inherited(let descriptor):
            return try await bootstrap.bind(
                descriptor, serverBackPressureStrategy: nil, childChannelInitializer: initializer)
        case .bind("*", let port):
            // Both address families on one socket if the system has IPv6, otherwise IPv4 only.
            do {
                return try await bootstrap.bind(
                    host: "::", port: port, serverBackPressureStrategy: nil, childChannelInitializer: initializer)
            } catch let error as IOError where error.errnoCode == EAFNOSUPPORT || error.errnoCode == EADDRNOTAVAIL {
                return try await bootstrap.bind(
                    host: "0.0.0.0", port: port, serverBackPressureStrategy: nil, childChannelInitializer: initializer)
            }
        case .bind(let host, let port):
            return try await bootstrap.bind(
                host: host, port: port, serverBackPressureStrategy: nil, childChannelInitializer: initializer)
        }
    }
}
