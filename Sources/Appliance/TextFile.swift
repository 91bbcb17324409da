import Database
import Files

/// Reads and writes complete small text files.
enum TextFile {
    /// - Parameters:
    ///   - limit: in bytes. A longer file is an error.
    ///   - allowsPipe: for a path that a person names on a command line: `<(pass show postern)`.
    static func read(_ path: String, limit: Int, allowsPipe: Bool = false) -> Result<String, WholeFile.Failure> {
        Result { () throws(WholeFile.Failure) in
            String(decoding: try WholeFile.read(path, limit: limit, allowsPipe: allowsPipe), as: UTF8.self)
        }
    }

    /// Only we can read the file.
    static func write(_ text: String, to path: String) -> Result<Void, WholeFile.Failure> {
        Result { () throws(WholeFile.Failure) in try WholeFile.write(text.utf8, to: path) }
    }
}

extension String {
    /// Without leading and trailing white space.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
