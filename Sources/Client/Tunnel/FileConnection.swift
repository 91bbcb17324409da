import Glibc
import HTTP1
import Link
import NIOCore

/// Answers requests for files on one stream, one after another.
///
/// Files are read on the event loop, piece by piece, as the visitor receives them: the local disk is faster than the
/// link.
final class FileConnection: LinkStreamOwner {
    private static let headBytes = 16 << 10

    private let files: FileService
    private let stream: LinkStream
    private let link: LinkHandler
    private var input = ByteBuffer()
    private var heads = HeadReader(limit: FileConnection.headBytes)
    /// The content of a request. It is read and dropped.
    private var body: BodyReader?
    /// The file that is being sent.
    private var descriptor: CInt?
    private var offset = 0
    private var end = 0
    private var closes = false
    private var isOver = false

    private init(_ files: FileService, _ stream: LinkStream, of link: LinkHandler) {
        self.files = files
        self.stream = stream
        self.link = link
    }

    static func serve(_ files: FileService, _ stream: LinkStream, of link: LinkHandler) {
        let connection = FileConnection(files, stream, of: link)
        stream.owner = connection
        connection.keepAlive = connection
    }

    /// Nothing else holds the stream's owner. This reference is released at the end of the stream.
    private var keepAlive: FileConnection?

    deinit { if let descriptor { Glibc.close(descriptor) } }

    // MARK: Events

    func streamAccepted() {}
    func streamRejected(_ reason: LinkRejection) { over() }
    func streamReset(_ code: ResetCode) { over() }

    func streamReceived(_ bytes: ByteBuffer) {
        input.discardReadBytes()
        input.writeImmutableBuffer(bytes)
        process()
        consumeRead()
    }

    /// Grants only what was read, so that a visitor that sends too much has to wait.
    private func consumeRead() {
        let count = stream.unconsumedBytes - input.readableBytes
        if count > 0 { link.consume(stream, count) }
    }

    func streamFinished() {
        guard descriptor == nil else { return closes = true }
        link.finish(stream)
        over()
    }

    func streamWritable() { sendMore() }

    private func over() {
        isOver = true
        keepAlive = nil
    }

    // MARK: Requests

    private func process() {
        while !isOver, descriptor == nil, !closes {
            do throws(HTTPMessageError) {
                if var reader = body {
                    guard try skip(&reader) else {
                        body = reader
                        return
                    }
                    body = nil
                }
                guard let found = try heads.next(&input) else { return }
                let head = try RequestHead(found)
                body = head.body == .none ? nil : BodyReader(head.body)
                closes = !head.keepsAlive
                answer(head)
            } catch {
                closes = true
                answer(status: "400 Bad Request", type: "text/plain", ByteBuffer(string: "\(error)\n"), isHead: false)
            }
        }
    }

    /// - Returns: whether all of the content has arrived.
    private func skip(_ reader: inout BodyReader) throws(HTTPMessageError) -> Bool {
        while let part = try reader.next(&input) { if case .end = part { return true } }
        return reader.isComplete
    }

    private func answer(_ head: RequestHead) {
        let isHead = head.method == "HEAD"
        guard isHead || head.method == "GET" else {
            return answer(
                status: "405 Method Not Allowed", type: "text/plain", ByteBuffer(string: "Only GET and HEAD.\n"),
                more: "Allow: GET, HEAD\r\n", isHead: false)
        }
        switch files.find(head.target) {
        case .missing:
            answer(status: "404 Not Found", type: "text/plain", ByteBuffer(string: "Not found.\n"), isHead: isHead)
        case .redirect(let path):
            answer(
                status: "301 Moved Permanently", type: "text/plain", ByteBuffer(string: "Moved.\n"),
                more: "Location: \(path)\r\n", isHead: isHead)
        case .listing(let page): answer(status: "200 OK", type: "text/html; charset=utf-8", page, isHead: isHead)
        case .file(let descriptor, let size, let modified, let type):
            send(descriptor, size: size, modified: modified, type: type, head, isHead: isHead)
        }
    }

    private func answer(status: String, type: String, _ content: ByteBuffer, more: String = "", isHead: Bool) {
        var out = ByteBuffer()
        out.writeString("HTTP/1.1 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(content.readableBytes)\r\n")
        out.writeString("X-Content-Type-Options: nosniff\r\n\(more)\(closes ? "Connection: close\r\n" : "")\r\n")
        if !isHead { out.writeImmutableBuffer(content) }
        link.write(stream, out)
        finishIfLast()
    }

    private func send(
        _ file: CInt, size: Int, modified: Int, type: String, _ head: RequestHead, isHead: Bool
    ) {
        let stamp = "\"\(String(size, radix: 16))-\(String(modified, radix: 16))\""
        let wants = head.fields.first { head.block.isNamed($0, "if-none-match") }.map(head.block.value)
        if wants == stamp {
            Glibc.close(file)
            link.write(
                stream,
                ByteBuffer(
                    string:
                        "HTTP/1.1 304 Not Modified\r\nETag: \(stamp)\r\n\(closes ? "Connection: close\r\n" : "")\r\n"))
            return finishIfLast()
        }
        let condition = head.fields.first { head.block.isNamed($0, "if-range") }.map(head.block.value)
        // If the file has changed, the range would not be what was asked for (RFC 9110, section 13.1.5).
        let isSame = condition == nil || condition == stamp
        let range = head.fields.first { isSame && head.block.isNamed($0, "range") }.flatMap {
            ByteRange(head.block.value($0), size: size)
        }
        let from = range?.from ?? 0
        let until = range?.until ?? size
        var out = "HTTP/1.1 \(range == nil ? "200 OK" : "206 Partial Content")\r\nContent-Type: \(type)\r\n"
        out +=
            "Content-Length: \(until - from)\r\nAccept-Ranges: bytes\r\nETag: \(stamp)\r\nCache-Control: no-cache\r\n"
        if range != nil { out += "Content-Range: bytes \(from)-\(until - 1)/\(size)\r\n" }
        out += "X-Content-Type-Options: nosniff\r\n\(closes ? "Connection: close\r\n" : "")\r\n"
        link.write(stream, ByteBuffer(string: out))
        guard !isHead, until > from else {
            Glibc.close(file)
            return finishIfLast()
        }
        descriptor = file
        offset = from
        end = until
        sendMore()
    }

    private func sendMore() {
        while let file = descriptor, !isOver, stream.isWritable {
            var piece = ByteBuffer()
            let count = min(end - offset, FileService.pieceBytes)
            let read = piece.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
                max(0, pread(file, target.baseAddress, count, off_t(offset)))
            }
            guard read > 0 else {
                // The file has become shorter, so the promised length cannot be sent.
                Glibc.close(file)
                descriptor = nil
                link.reset(stream, .broken)
                return over()
            }
            offset += read
            link.write(stream, piece)
            guard offset >= end else { continue }
            Glibc.close(file)
            descriptor = nil
            finishIfLast()
            process()
            consumeRead()
        }
    }

    private func finishIfLast() {
        guard closes else { return }
        link.finish(stream)
        over()
    }
}

/// One range of bytes (RFC 9110, section 14.1.2). A request for several ranges is answered with the whole file.
struct ByteRange: Equatable {
    let from: Int
    /// The index after the last byte.
    let until: Int

    /// - Returns: nil if the range must be ignored.
    init?(_ text: String, size: Int) {
        guard text.hasPrefix("bytes="), !text.contains(",") else { return nil }
        let parts = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, size > 0 else { return nil }
        if parts[0].isEmpty {
            guard let count = Int(parts[1]), count > 0 else { return nil }
            (from, until) = (max(0, size - count), size)
            return
        }
        guard let first = Int(parts[0]), first >= 0, first < size else { return nil }
        let last = parts[1].isEmpty ? size - 1 : Int(parts[1]) ?? -1
        guard last >= first else { return nil }
        (from, until) = (first, min(last, size - 1) + 1)
    }
}
