public import Model
import Synchronization

/// What a page can follow.
public enum ChangeTopic: String, CaseIterable, Sendable {
    /// The organisation's machines, tunnels, share sessions.
    case machines, tunnels, sessions
    /// Anything of any organisation: for the server's administrators.
    case server
}

/// Tells whoever looks at a page that something on it has changed. A change says what it is about and never what it is: who
/// hears of it asks for the page again, with their own rights.
public final class ChangeFeed: Sendable {
    public struct Change: Sendable, Equatable {
        /// Counts from 1.
        public let number: UInt64
        public let topic: ChangeTopic
        public let organisationId: String

        public init(number: UInt64, topic: ChangeTopic, organisationId: String) {
            self.number = number
            self.topic = topic
            self.organisationId = organisationId
        }

        /// Whether somebody who follows these topics in this organisation hears of it.
        public func isFor(_ topics: Set<ChangeTopic>, in organisation: String) -> Bool {
            topics.contains(.server) || (topics.contains(topic) && organisationId == organisation)
        }
    }

    /// Changes kept for those who come back: some minutes of a busy server.
    private static let kept = 256
    /// Changes that wait for one reader. Whoever has read none of so many asks for the page once, and has seen them all.
    private static let waiting = 16

    private struct State {
        var last: UInt64 = 0
        var recent: [Change] = []
        var readers: [Int: AsyncStream<Change>.Continuation] = [:]
        var nextReader = 0
        var isEnded = false
    }

    private let state = Mutex(State())
    /// Tells this run of the server from the one before: numbers begin again.
    public let run = Identifier.make(now: .now())

    public init() {}

    public func changed(_ topic: ChangeTopic, in organisationId: String) {
        state.withLock { state in
            state.last += 1
            let change = Change(number: state.last, topic: topic, organisationId: organisationId)
            if state.recent.count == Self.kept { state.recent.removeFirst() }
            state.recent.append(change)
            for reader in state.readers.values { reader.yield(change) }
        }
    }

    /// What happens from now on, and what happened since a change that was read before.
    /// - Parameter number: the last change that was read; nil for a new reader.
    /// - Returns: what was missed, nil where that is too long ago to say; the number of the last change; and what comes.
    public func follow(
        since number: UInt64?
    ) -> (missed: [Change]?, last: UInt64, next: AsyncStream<Change>) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Change.self, bufferingPolicy: .bufferingNewest(Self.waiting))
        let (id, missed, last) = state.withLock { state -> (Int, [Change]?, UInt64) in
            state.nextReader += 1
            // Requests are still taken while the server stops: their streams end at once.
            if state.isEnded { continuation.finish() } else { state.readers[state.nextReader] = continuation }
            guard let number else { return (state.nextReader, [], state.last) }
            guard number <= state.last, number + UInt64(state.recent.count) >= state.last else {
                return (state.nextReader, nil, state.last)
            }
            return (state.nextReader, state.recent.filter { $0.number > number }, state.last)
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.readers[id] = nil }
        }
        return (missed, last, stream)
    }

    /// Ends what everybody follows: the server stops.
    public func end() {
        let readers = state.withLock { state in
            state.isEnded = true
            return state.readers
        }
        for reader in readers.values { reader.finish() }
    }

    /// Where it is now, as ``position(_:)`` writes it.
    public var position: String { position(state.withLock(\.last)) }

    /// A change's number with the run of the server that it is of.
    public func position(_ number: UInt64) -> String { "\(run)-\(number)" }

    /// The number in a position; nil where it is of another run, or is none.
    public func number(of position: String) -> UInt64? {
        position.hasPrefix("\(run)-") ? UInt64(position.dropFirst(run.count + 1)) : nil
    }
}
