import Database
import Files
import Glibc
import Model

/// Reads and writes complete binary files.
enum BinaryFile {
    static func read(_ path: String, limit: Int) throws -> [UInt8] {
        do { return try WholeFile.read(path, limit: limit) } catch {
            guard error.number != EFBIG else { throw CommandFailure("\(path) is larger than \(limit >> 20) MiB") }
            throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }

    /// Only we can read the file.
    static func write(_ bytes: [UInt8], to path: String) throws {
        do { try WholeFile.write(bytes, to: path) } catch {
            throw CommandFailure(
                "cannot write \(path): \(error.message)\(error.number == ENOSPC ? "; free space there" : "")")
        }
    }
}
