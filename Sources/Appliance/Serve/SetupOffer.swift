import Database
import Files
import Glibc
import Model
import Storage

/// Shows the setup link to the owner: printed, and in a file that only the owner can read.
extension SetupLink {
    var path: String { "/setup/\(secret)" }

    /// The maximum size of the file, in bytes. A link is one line.
    private static let fileLimit = 4096

    /// Creates a link if the server has no administrator yet.
    /// - Parameter keepsOlder: keeps a link that is still valid, so that a start does not invalidate it.
    /// - Returns: nil if there is an administrator.
    /// - Throws: `StorageError`, ``CommandFailure``.
    static func offer(
        database: Database, _ configuration: Configuration, keepsOlder: Bool = false
    ) async throws -> SetupLink? {
        let file = "\(configuration.stateDirectory)/\(fileName)"
        let older =
            keepsOlder ? (try? TextFile.read(file, limit: fileLimit).get())?.trimmed.split(separator: "/").last : nil
        do {
            return try await database.write(essential: true) { database in
                if let older, let kept = try SetupLink.kept(String(older), now: .now(), in: database) { return kept }
                return try SetupLink.create(now: .now(), in: database)
            }
        } catch let refusal as Refusal where refusal.code == .setUp {
            unlink(file)
            return nil
        }
    }

    /// Writes the link to the state directory, readable only by the owner.
    /// - Parameter address: the public address of the server.
    /// - Throws: ``CommandFailure``.
    func keep(_ configuration: Configuration, address: String) throws {
        let file = "\(configuration.stateDirectory)/\(Self.fileName)"
        if case .failure(let error) = TextFile.write("\(address)\(path)\n", to: file) {
            throw CommandFailure("cannot write \(file): \(error.message)")
        }
    }
}
