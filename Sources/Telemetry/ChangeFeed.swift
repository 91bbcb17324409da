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
    /// - Returns: nil for `missed` where that is too long ago to say.
    public func follow(since number: UInt64?) -> (missed: [Change]?, next: AsyncStream<Change>) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Change.self, bufferingPolicy: .bufferingNewest(Self.waiting))
        let (id, missed) = state.withLock { state -> (Int, [Change]?) in
            state.nextReader += 1
            state.readers[state.nextReader] = continuation
            guard let number else { return (state.nextReader, []) }
            guard number <= state.last, number + UInt64(state.recent.count) >= state.last else {
                return (state.nextReader, nil)
            }
            return (state.nextReader, state.recent.filter { $0.number > number })
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.readers[id] = nil }
        }
        return (missed, stream)
    }

    /// Ends what everybody follows: the server stops.
    public func end() {
        let readers = state.withLock(\.readers)
        for reader in readers.values { reader.finish() }
    }

    /// The number of the last change; 0 before the first.
    public var last: UInt64 { state.withLock(\.last) }
}
