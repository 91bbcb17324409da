import Glibc

/// A directory of a test's own.
public enum TemporaryDirectory {
    public struct Failure: Error {}

    /// - Throws: ``Failure`` where none can be made.
    public static func make() throws -> String {
        var template = Array("/tmp/postern-test-\(String(repeating: "X", count: 6))".utf8CString)
        guard let made = mkdtemp(&template) else { throw Failure() }
        return String(cString: made)
    }

    /// Makes one, and removes it with these files of it when `body` is done.
    public static func with(_ files: [String], _ body: (String) throws -> Void) throws {
        let directory = try make()
        defer { remove(directory, files) }
        try body(directory)
    }

    /// The same, for what waits.
    public static func with(_ files: [String], _ body: (String) async throws -> Void) async throws {
        let directory = try make()
        defer { remove(directory, files) }
        try await body(directory)
    }

    public static func remove(_ directory: String, _ files: [String]) {
        for name in files { unlink("\(directory)/\(name)") }
        rmdir(directory)
    }
}
