import Database
import Glibc
import Model
import Storage

extension ServerOptions {
    /// Runs a closure with the server's database, whether or not the server is running.
    /// - Parameter makes: creates the database if there is none. Otherwise a mistyped directory is reported as a mistake.
    /// - Throws: errors of `body`, ``CommandFailure``, `StorageError`.
    func withDatabase<Success: Sendable>(
        makes: Bool = false, _ body: (Database, Configuration) async throws -> Success
    ) async throws -> Success {
        let configuration = try load()
        let path = "\(configuration.stateDirectory)/\(Database.fileName)"
        guard makes || access(path, F_OK) == 0 || errno != ENOENT else {
            throw CommandFailure(
                "there is no database at \(path); start the server once, or give its directory with --state")
        }
        try StateOwner.become(ownerOf: configuration.stateDirectory)
        let database = try Database(
            stateDirectory: configuration.stateDirectory, masterKey: Configuration.masterKeyCredential,
            plans: configuration.plans)
        defer { database.close() }
        return try await body(database, configuration)
    }
}
