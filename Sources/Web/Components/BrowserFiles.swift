import CBrowserFiles
import Crypto
import Model
import NIOCore

/// The scripts, style sheets and WebAssembly that pages load: compiled into the binary (`scripts/browser`).
///
/// Their addresses contain a digest of all of them, so that browsers can cache them without limit and an upgrade never mixes two versions.
public struct BrowserFiles: Sendable {
    public struct File: Sendable {
        public let name: String
        let contentType: String
        /// Compressed with gzip.
        let packed: ByteBuffer
        /// SHA-256 of the uncompressed file, in hexadecimal. `postern version --web` prints it, so that a guest can compare.
        public let digest: String

        /// Uncompressed, for the rare client that does not take gzip.
        var plain: ByteBuffer { Gzip.unpacked(packed) ?? ByteBuffer() }
    }

    public static let all = BrowserFiles()

    public let files: [File]
    /// The first 16 digits of SHA-256 over all names and digests.
    public let version: String
    private let byName: [String: File]

    private init() {
        files = (0..<postern_browser_file_count()).map { index in
            let file = postern_browser_file(index)
            let name = String(cString: file.name)
            let packed = ByteBuffer(bytes: UnsafeRawBufferPointer(start: file.packed, count: file.packed_count))
            guard let plain = Gzip.unpacked(packed) else { preconditionFailure("\(name) is damaged in the binary") }
            return File(
                name: name, contentType: Self.contentType(name), packed: packed,
                digest: Hexadecimal.text(SHA256.hash(data: plain.readableBytesView)))
        }
        let summary = files.map { "\($0.name) \($0.digest)\n" }.joined()
        version = String(Hexadecimal.text(SHA256.hash(data: Array(summary.utf8))).prefix(16))
        byName = Dictionary(uniqueKeysWithValues: files.map { ($0.name, $0) })
    }

    subscript(name: String) -> File? { byName[name] }

    /// Whether this build contains the terminal. A build without `scripts/browser` does not.
    var hasTerminal: Bool { byName["terminal.wasm"] != nil }

    /// The address of a file for browsers.
    func path(_ name: String) -> String { "/web/\(version)/\(name)" }

    private static func contentType(_ name: String) -> String {
        switch name.split(separator: ".").last {
        case "js": "text/javascript; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "svg": "image/svg+xml"
        case "wasm": "application/wasm"
        default: "application/octet-stream"
        }
    }
}
