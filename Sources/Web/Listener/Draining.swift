import NIOCore
import Synchronization

/// Whether the server is on its way down, and the connections that are still to be finished.
///
/// Not NIO's ServerQuiescingHelper: that one closes connections which were accepted in the moment of the shutdown, and their
/// clients would see a refusal where systemd's socket would have kept them waiting.
final class Draining: Sendable {
    private struct State {
        var hasBegun = false
        var connections: [ObjectIdentifier: any Channel] = [:]
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    var isUnderWay: Bool { state.withLock { $0.hasBegun } }

    /// Call for every accepted connection, on its loop.
    func add(_ channel: any Channel) {
        let id = ObjectIdentifier(channel)
        state.withLock { $0.connections[id] = channel }
        channel.closeFuture.whenComplete { _ in
            let waiting = self.state.withLock { state in
                state.connections[id] = nil
                guard state.connections.isEmpty else { return [CheckedContinuation<Void, Never>]() }
                defer { state.waiting = [] }
                return state.waiting
            }
            waiting.forEach { $0.resume() }
        }
    }

    /// Returns when there is no connection (any more).
    func wait() async {
        await withCheckedContinuation { continuation in
            let isEmpty = state.withLock { state in
                if !state.connections.isEmpty { state.waiting.append(continuation) }
                return state.connections.isEmpty
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Tells every connection to finish what it does and to end.
    func begin() {
        let connections = state.withLock { state in
            state.hasBegun = true
            return Array(state.connections.values)
        }
        for channel in connections { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    }
}
