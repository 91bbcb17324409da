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

    /// Makes one, and removes it with all that is in it when `body` is done.
    public static func with(_ body: (String) throws -> Void) throws {
        let directory = try make()
        defer { remove(directory) }
        try body(directory)
    }

    /// The same, for what waits.
    public static func with(_ body: (String) async throws -> Void) async throws {
        let directory = try make()
        defer { remove(directory) }
        try await body(directory)
    }

    /// Removes one with the files in it: nobody has to know which a test leaves.
    public static func remove(_ directory: String) {
        guard let listing = opendir(directory) else { return }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink("\(directory)/\(name)")
        }
        closedir(listing)
        rmdir(directory)
    }
}
