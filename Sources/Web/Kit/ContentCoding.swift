import Crypto
import HTTPTypes
import Hummingbird
import Model
import NIOCore

/// Compresses responses with gzip if the client accepts it and it is worthwhile. Sends no body if the client already has the response.
enum ContentCoding {
    /// The minimum size for compression, in bytes. Smaller responses fit in one packet.
    private static let worthIt = 1_000
    /// The maximum size for compression. Complete responses are smaller than a mebibyte. Larger ones are sent uncompressed.
    private static let greatest = 1 << 20

    /// - Parameter response: the response to a GET. A response whose body is written in pieces is not changed.
    static func apply(to response: inout Response, for request: Request) async throws {
        guard response.status == .ok, let length = response.body.contentLength, length > 0, length <= greatest,
            response.headers[.contentEncoding] == nil
        else { return }
        let isKept = response.headers[.cacheControl] != "no-store"
        // Pages for one person are not compressed: their length would reveal what they repeat of a request (BREACH).
        let isPersonal = !isKept && response.headers[.contentType]?.hasPrefix("text/html") == true
        let isPacked = length >= worthIt && isText(response) && !isPersonal && request.takesGzip
        guard isKept || isPacked else { return }
        let writer = Collector()
        try await response.body.write(writer)
        var body = writer.buffer
        if isKept {
            let tag = "W/\"\(Hexadecimal.text(SHA256.hash(data: body.readableBytesView).prefix(12)))\""
            response.headers[.eTag] = tag
            if matches(request.headers[.ifNoneMatch], tag) {
                response.status = .notModified
                response.headers[.contentType] = nil
                response.body = .init()
                return
            }
        }
        if isText(response) { response.headers[.vary] = "Accept-Encoding" }
        if isPacked, let packed = Gzip.packed(body) {
            response.headers[.contentEncoding] = "gzip"
            body = packed
        }
        response.headers[.contentLength] = nil
        response.body = .init(byteBuffer: body)
    }

    private static func isText(_ response: Response) -> Bool {
        let type = response.headers[.contentType] ?? ""
        return type.hasPrefix("text/") || type.hasPrefix("application/json") || type.hasPrefix("image/svg")
    }

    /// RFC 9110, section 13.1.2: with the weak comparison.
    static func matches(_ header: String?, _ tag: String) -> Bool {
        guard let header else { return false }
        func opaque(_ text: Substring) -> Substring { text.hasPrefix("W/") ? text.dropFirst(2) : text }
        return header.split(separator: ",").contains { one in
            let trimmed = one.drop { $0 == " " }.prefix { $0 != " " }
            return trimmed == "*" || opaque(trimmed) == opaque(tag[...])
        }
    }
}

/// Collects a complete body. Used by one task.
private final class Collector: ResponseBodyWriter {
    var buffer = ByteBuffer()

    func write(_ buffer: ByteBuffer) async throws {
        var buffer = buffer
        self.buffer.writeBuffer(&buffer)
    }

    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

extension Request {
    /// RFC 9110, section 12.5.3: whether gzip is listed and not refused.
    var takesGzip: Bool {
        headers[.acceptEncoding]?.split(separator: ",").contains { encoding in
            let parts = encoding.split(separator: ";").map { $0.filter { $0 != " " } }
            return parts.first?.lowercased() == "gzip" && !parts.dropFirst().contains { $0 == "q=0" || $0 == "q=0.0" }
        } ?? false
    }
}
