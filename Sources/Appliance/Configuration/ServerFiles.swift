import Database
import Glibc
import Model
import Storage

extension ServerOptions {
    /// Runs something on the server's database, whether the server runs or not.
    /// - Parameter makes: makes the database where there is none; elsewhere a mistyped directory is a mistake that is named.
    /// - Throws: what `body` throws, ``CommandFailure``, `StorageError`.
    func withDatabase<Success: Sendable>(
        makes: Bool = false, _ body: (Database, Configuration) async throws -> Success
    ) async throws -> Success {
        let configuration = try load()
        let path = "\(configuration.stateDirectory)/\(Database.fileName)"
        guard makes || access(path, F_OK) == 0 || errno != ENOENT else {
            throw CommandFailure(
                "there is no database at \(path); start the server once, or name its directory with --state")
        }
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        let database = try Database(
            stateDirectory: configuration.stateDirectory, masterKey: Configuration.masterKeyCredential,
            plans: configuration.plans)
        defer { database.close() }
        return try await body(database, configuration)
    }
}
