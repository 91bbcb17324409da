import NIOCore

/// A connection of the client, as other threads hold it.
struct OpenConnection: Sendable {
    let channel: any Channel
    let connection: NIOLoopBound<ClientConnection>

    /// Runs on the connection's event loop; at once where it is already there.
    func run(_ body: @escaping @Sendable (ClientConnection) -> Void) {
        let connection = self.connection
        if channel.eventLoop.inEventLoop { return body(connection.value) }
        channel.eventLoop.execute { body(connection.value) }
    }

    func value<Value: Sendable>(_ body: @escaping @Sendable (ClientConnection) -> Value) async throws -> Value {
        let connection = self.connection
        return try await channel.eventLoop.submit { body(connection.value) }.get()
    }

    func close() { run { $0.close() } }
}
