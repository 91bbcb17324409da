import NIOCore
import Synchronization
import Telemetry
import TransportSecurity

/// Tracks responses that peers do not read, for the whole server. If they exceed a limit, the connection that has been
/// stalled for longest is closed. A peer that reads slowly stays connected. A peer that does not read is closed first.
final class UnreadAnswers: Sendable {
    /// The limit for all connections together, in bytes. Half of the unit's MemoryMax is left for everything else.
    static let limit = 64 << 20

    private struct Stalled {
        let bytes: Int
        /// Distinguishes this stall from an earlier one of the same connection.
        let number: Int
        let channel: any Channel
    }

    private struct State {
        var stalled: [ObjectIdentifier: Stalled] = [:]
        /// In the order in which connections stalled. Also contains connections that have continued since.
        var order = CircularBuffer<(id: ObjectIdentifier, number: Int)>()
        var bytes = 0
        var newest = 0
    }

    private let limit: Int
    private let metrics: ConnectionMetrics
    private let state = Mutex(State())

    init(limit: Int = UnreadAnswers.limit, metrics: ConnectionMetrics) {
        self.limit = limit
        self.metrics = metrics
    }

    /// The channel's socket accepts no more bytes. `bytes` are pending.
    func stall(_ channel: any Channel, bytes: Int) {
        let id = ObjectIdentifier(channel)
        let evicted = state.withLock { state -> [any Channel] in
            state.newest += 1
            state.bytes += bytes - (state.stalled[id]?.bytes ?? 0)
            state.stalled[id] = Stalled(bytes: bytes, number: state.newest, channel: channel)
            state.order.append((id, state.newest))
            var evicted: [any Channel] = []
            while state.bytes > limit, let oldest = state.order.popFirst() {
                guard let found = state.stalled[oldest.id], found.number == oldest.number else { continue }
                state.stalled[oldest.id] = nil
                state.bytes -= found.bytes
                evicted.append(found.channel)
            }
            // Connections that stall and continue repeatedly must not fill the queue.
            if state.order.count > 2 * state.stalled.count + 64 {
                let stalled = state.stalled
                state.order = CircularBuffer(state.order.filter { stalled[$0.id]?.number == $0.number })
            }
            metrics.unreadAnswerBytes.set(state.bytes)
            return evicted
        }
        for channel in evicted {
            metrics.unreadAnswersDropped.add()
            channel.triggerUserOutboundEvent(ImmediateClose(), promise: nil)
        }
    }

    /// The channel's socket accepts bytes again, or has closed.
    func clear(_ channel: any Channel) {
        state.withLock { state in
            guard let found = state.stalled.removeValue(forKey: ObjectIdentifier(channel)) else { return }
            state.bytes -= found.bytes
            metrics.unreadAnswerBytes.set(state.bytes)
        }
    }
}
