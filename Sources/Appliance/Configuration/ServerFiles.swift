import Storage

extension ServerOptions {
    /// Runs something on the server's database, whether the server runs or not.
    /// - Throws: what `body` throws, ``CommandFailure``, `StorageError`.
    func withDatabase<Success: Sendable>(
        _ body: (Database, Configuration) async throws -> Success
    ) async throws -> Success {
        let configuration = try load()
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        let database = try Database(
            stateDirectory: configuration.stateDirectory, masterKey: Configuration.masterKeyCredential,
            plans: configuration.plans)
        defer { database.close() }
        return try await body(database, configuration)
    }
}
