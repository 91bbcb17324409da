import NIOCore
import Synchronization

/// Tracks whether the server is shutting down, and the connections that are still open.
///
/// NIO's ServerQuiescingHelper is not used: it closes connections that are accepted during the shutdown. Their clients
/// would get a refusal, although systemd's socket would have kept them waiting.
public final class Draining: Sendable {
    private struct State {
        var hasBegun = false
        var connections: [ObjectIdentifier: any Channel] = [:]
        /// Connections that move between two channels.
        var moving = 0
        var waiting: [CheckedContinuation<Void, Never>] = []

        var isEmpty: Bool { connections.isEmpty && moving == 0 }

        /// If no connection is left, removes and returns the continuations that wait for that.
        mutating func takeWaiting() -> [CheckedContinuation<Void, Never>] {
            guard isEmpty else { return [] }
            defer { waiting = [] }
            return waiting
        }
    }

    private let state = Mutex(State())

    public init() {}

    var isUnderWay: Bool { state.withLock { $0.hasBegun } }

    /// Adds an accepted connection. Call this for every connection, on its event loop.
    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        state.withLock { $0.connections[id] = channel }
        channel.closeFuture.whenComplete { _ in
            let waiting = self.state.withLock { state in
                state.connections[id] = nil
                return state.takeWaiting()
            }
            waiting.forEach { $0.resume() }
        }
    }

    /// Marks a connection as moving from its channel to another.
    /// - Parameter arrival: completes when the other channel has been added, or never will be.
    func move(until arrival: EventLoopFuture<Void>) {
        state.withLock { $0.moving += 1 }
        arrival.whenComplete { _ in
            let waiting = self.state.withLock { state in
                state.moving -= 1
                return state.takeWaiting()
            }
            waiting.forEach { $0.resume() }
        }
    }

    /// Returns when no connection is left. If the task is cancelled, the connections are closed.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isEmpty = state.withLock { state in
                    if !state.isEmpty { state.waiting.append(continuation) }
                    return state.isEmpty
                }
                if isEmpty { continuation.resume() }
            }
        } onCancel: {
            for channel in state.withLock({ Array($0.connections.values) }) { channel.close(promise: nil) }
        }
    }

    /// Tells every connection to finish its current work and to close.
    func begin() {
        let connections = state.withLock { state in
            state.hasBegun = true
            return Array(state.connections.values)
        }
        for channel in connections { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    }
}
