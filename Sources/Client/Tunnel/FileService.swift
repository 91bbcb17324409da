import Glibc
import HTTP1
import Model
public import NIOCore

/// Serves files below a directory as a web server does: no dot files, nothing outside of the directory, and listings
/// only on request.
public struct FileService: Sendable {
    /// The size of the pieces in which files are read, in bytes.
    static let pieceBytes = 64 << 10
    /// Maximum number of names in a listing.
    private static let listLimit = 10_000

    let directory: String
    let lists: Bool

    /// - Throws: ``ClientError`` if it is not a directory.
    public init(directory: String, lists: Bool) throws(ClientError) {
        guard let resolved = realpath(directory, nil) else {
            throw ClientError("\(directory): \(String(cString: strerror(errno)).lowercased())", status: .usage)
        }
        defer { free(resolved) }
        var found = stat()
        self.directory = String(cString: resolved)
        guard stat(resolved, &found) == 0, found.st_mode & S_IFMT == S_IFDIR else {
            throw ClientError("\(directory) is not a directory", status: .usage)
        }
        guard access(self.directory, R_OK | X_OK) == 0 else {
            throw ClientError("\(directory): \(String(cString: strerror(errno)).lowercased())", status: .usage)
        }
        self.lists = lists
    }

    enum Found {
        case file(descriptor: CInt, size: Int, modified: Int, type: String)
        case listing(ByteBuffer)
        case redirect(String)
        case missing
    }

    /// - Parameter target: of the request, with its query.
    func find(_ target: String) -> Found {
        let path = target.prefix { $0 != "?" }
        guard let decoded = Self.decoded(path), let parts = Self.parts(decoded) else { return .missing }
        let place = ([directory] + parts).joined(separator: "/")
        guard let resolved = realpath(place, nil) else { return .missing }
        defer { free(resolved) }
        let real = String(cString: resolved)
        // A symbolic link may point anywhere; only what is below the directory is served.
        guard real == directory || real.hasPrefix(directory == "/" ? "/" : "\(directory)/") else { return .missing }
        guard !real.dropFirst(directory.count).split(separator: "/").contains(where: { $0.hasPrefix(".") }) else {
            return .missing
        }
        var found = stat()
        guard stat(real, &found) == 0 else { return .missing }
        switch found.st_mode & S_IFMT {
        case S_IFREG: return open(real)
        case S_IFDIR:
            guard decoded.hasSuffix("/") else { return .redirect("\(path)/") }
            let index = open("\(real)/index.html")
            if case .missing = index { return lists ? .listing(listing(real, decoded)) : .missing }
            return index
        default: return .missing
        }
    }

    private func open(_ path: String) -> Found {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return .missing }
        var found = stat()
        guard fstat(descriptor, &found) == 0, found.st_mode & S_IFMT == S_IFREG else {
            Glibc.close(descriptor)
            return .missing
        }
        return .file(
            descriptor: descriptor, size: Int(found.st_size), modified: found.st_mtim.tv_sec, type: Self.type(of: path))
    }

    /// The path's names; nil if one is hidden or leads upwards.
    private static func parts(_ path: String) -> [String]? {
        let parts = path.split(separator: "/").map(String.init)
        return parts.contains { $0.hasPrefix(".") || $0.utf8.contains(0) } ? nil : parts
    }

    private static func decoded(_ path: Substring) -> String? { PercentEncoding.decoded(String(path)) }

    private func listing(_ place: String, _ path: String) -> ByteBuffer {
        var names: [String] = []
        if let directory = opendir(place) {
            defer { closedir(directory) }
            while names.count < Self.listLimit, let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                let isDirectory = entry.pointee.d_type == UInt8(DT_DIR)
                if !name.hasPrefix(".") { names.append(isDirectory ? "\(name)/" : name) }
            }
        }
        let items = names.sorted().map { name -> HTML in
            "<li><a href=\"\(PercentEncoding.encoded(name, keeping: "/"))\">\(name)</a></li>"
        }.joined(separator: "\n")
        let up: HTML = path == "/" ? "" : "<li><a href=\"../\">..</a></li>"
        let page: HTML = """
            <!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>\(path)</title></head>
            <body><h1>\(path)</h1><ul>\(up)\(items)</ul></body></html>

            """
        return ByteBuffer(string: page.text)
    }

    /// The media type by the file extension (the IANA media types that a small site needs).
    static func type(of path: String) -> String {
        let ending = path.split(separator: "/").last?.split(separator: ".").last.map { $0.lowercased() } ?? ""
        return types[ending] ?? "application/octet-stream"
    }

    private static let types = [
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8", "json": "application/json",
        "txt": "text/plain; charset=utf-8", "md": "text/plain; charset=utf-8", "csv": "text/csv; charset=utf-8",
        "xml": "application/xml", "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg",
        "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "ico": "image/x-icon", "pdf": "application/pdf",
        "wasm": "application/wasm", "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "mp4": "video/mp4",
        "webm": "video/webm", "mp3": "audio/mpeg", "ogg": "audio/ogg", "wav": "audio/wav", "zip": "application/zip",
        "gz": "application/gzip", "tar": "application/x-tar",
    ]
}
