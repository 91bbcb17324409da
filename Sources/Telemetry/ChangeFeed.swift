public import Model
import Synchronization

/// The topics that a page can follow.
public enum ChangeTopic: String, CaseIterable, Sendable {
    /// The machines, tunnels and share sessions of the organisation.
    case machines, tunnels, sessions
    /// Any change in any organisation, for the server's administrators.
    case server
}

/// Tells the viewers of a page that something on it has changed. A change names only its topic and not its contents:
/// the viewer requests the page again, with their own permissions.
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

        /// Whether a follower of these topics in this organisation gets the change.
        public func isFor(_ topics: Set<ChangeTopic>, in organisation: String) -> Bool {
            topics.contains(.server) || (topics.contains(topic) && organisationId == organisation)
        }
    }

    /// Changes that are kept for reconnecting followers: some minutes of a busy server.
    private static let kept = 256
    /// Changes that are queued for one reader. A reader that misses more requests the page once, and is then up to
    /// date.
    private static let waiting = 16

    private struct State {
        var last: UInt64 = 0
        var recent: [Change] = []
        var readers: [Int: AsyncStream<Change>.Continuation] = [:]
        var nextReader = 0
        var isEnded = false
    }

    private let state = Mutex(State())
    /// Distinguishes this run of the server from the previous one, because numbers start again.
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

    /// The changes from now on, and the changes since one that was read before.
    /// - Parameter number: the last change that was read; nil for a new reader.
    /// - Returns: the missed changes, nil if they are no longer known; the number of the last change; and the stream of
    ///   new changes.
    public func follow(
        since number: UInt64?
    ) -> (missed: [Change]?, last: UInt64, next: AsyncStream<Change>) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Change.self, bufferingPolicy: .bufferingNewest(Self.waiting))
        let (id, missed, last) = state.withLock { state -> (Int, [Change]?, UInt64) in
            state.nextReader += 1
            // Requests are still accepted while the server stops. Their streams end at once.
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

    /// Ends all streams, because the server stops.
    public func end() {
        let readers = state.withLock { state in
            state.isEnded = true
            return state.readers
        }
        for reader in readers.values { reader.finish() }
    }

    /// The current position, in the form of ``position(_:)``.
    public var position: String { position(state.withLock(\.last)) }

    /// A change's number, combined with the run of the server.
    public func position(_ number: UInt64) -> String { "\(run)-\(number)" }

    /// The number in a position; nil if it belongs to another run, or is invalid.
    public func number(of position: String) -> UInt64? {
        position.hasPrefix("\(run)-") ? UInt64(position.dropFirst(run.count + 1)) : nil
    }
}
