import NIOCore
import Synchronization

/// What a bootstrap's initializer has made, by channel: it runs for each address that is tried (RFC 8305), and the bootstrap says which
/// channel it connected. A handler cannot be looked up in a channel that has failed meanwhile.
final class HandlerBox<Value: Sendable>: Sendable {
    private let made = Mutex<[ObjectIdentifier: Value]>([:])

    func add(_ value: Value, of channel: any Channel) { made.withLock { $0[ObjectIdentifier(channel)] = value } }

    func take(_ channel: any Channel) -> Value? { made.withLock { $0[ObjectIdentifier(channel)] } }
}
