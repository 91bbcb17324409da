import NIOCore
import Synchronization

/// The handlers that a bootstrap's initializer created, by channel. The initializer runs for each address that is tried
/// (RFC 8305), and the bootstrap reports which channel connected. A handler cannot be looked up in a channel that has
/// failed meanwhile.
final class HandlerBox<Value: Sendable>: Sendable {
    private let made = Mutex<[ObjectIdentifier: Value]>([:])

    func add(_ value: Value, of channel: any Channel) { made.withLock { $0[ObjectIdentifier(channel)] = value } }

    func take(_ channel: any Channel) -> Value? { made.withLock { $0[ObjectIdentifier(channel)] } }
}
