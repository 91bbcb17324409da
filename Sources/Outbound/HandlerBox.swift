import NIOCore
import Synchronization

/// Connections that a bootstrap has set up, by their channel: it sets up one for each address that it tries, and says which one it
/// connected. A handler cannot be looked up in a channel that has failed meanwhile.
final class HandlerBox: Sendable {
    private let made = Mutex<[ObjectIdentifier: OpenConnection]>([:])

    func add(_ open: OpenConnection) { made.withLock { $0[ObjectIdentifier(open.channel)] = open } }

    func take(_ channel: any Channel) -> OpenConnection? { made.withLock { $0[ObjectIdentifier(channel)] } }
}
