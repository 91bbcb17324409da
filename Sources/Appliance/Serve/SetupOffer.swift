import Database
import Files
import Glibc
import Model
import Storage

/// The setup link as the owner sees it: printed, and in a file that only the owner can read.
extension SetupLink {
    var path: String { "/setup/\(secret)" }

    /// A link is a line, in bytes.
    private static let fileLimit = 4096

    /// Makes a link where nobody administers the server yet.
    /// - Parameter keepsOlder: a link that still works stays; a start takes nobody's away.
    /// - Returns: nil where there is an administrator.
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

    /// Puts the link into the state directory, for its owner alone.
    /// - Parameter address: where people reach the server.
    /// - Throws: ``CommandFailure``.
    func keep(_ configuration: Configuration, address: String) throws {
        let file = "\(configuration.stateDirectory)/\(Self.fileName)"
        if case .failure(let error) = TextFile.write("\(address)\(path)\n", to: file) {
            throw CommandFailure("cannot write \(file): \(error.message)")
        }
    }
}
