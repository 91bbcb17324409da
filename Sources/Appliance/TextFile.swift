import Database
import Files

/// Small files of text, read and written whole.
enum TextFile {
    /// - Parameters:
    ///   - limit: in bytes; a longer file is an error.
    ///   - allowsPipe: for what a person names on a command line: `<(pass show postern)`.
    static func read(_ path: String, limit: Int, allowsPipe: Bool = false) -> Result<String, WholeFile.Failure> {
        Result { () throws(WholeFile.Failure) in
            String(decoding: try WholeFile.read(path, limit: limit, allowsPipe: allowsPipe), as: UTF8.self)
        }
    }

    /// Readable by us alone.
    static func write(_ text: String, to path: String) -> Result<Void, WholeFile.Failure> {
        Result { () throws(WholeFile.Failure) in try WholeFile.write(text.utf8, to: path) }
    }
}

extension String {
    /// Without white space at both ends.
    var trimmed: String {
        String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
}
