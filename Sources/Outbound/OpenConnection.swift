import NIOCore

/// A connection of the client, for use from other threads.
struct OpenConnection: Sendable {
    let channel: any Channel
    let connection: NIOLoopBound<ClientConnection>

    /// Runs on the connection's event loop; immediately if it is the current one.
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
