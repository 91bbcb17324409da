import Crypto
import FoundationEssentials
import HTTP1
import NIOCore

/// Forwards a service's response to the visitor. A pure function: bytes of the service in, bytes for the visitor out.
struct ResponseForwarding {
    enum Step: Equatable {
        /// The response's head has been written.
        case head(status: Int)
        /// From here on bytes are passed in both directions.
        case switched
        case ended
    }

    /// The maximum size of a head, in bytes: some services send large cookies and policies.
    private static let headBytes = 64 << 10
    /// The maximum number of heads before the last one (1xx).
    private static let informationalLimit = 16

    private let method: String
    private let host: String
    private let edits: [HeaderRules]
    private let isVersion10: Bool
    /// The value with which the service must accept a WebSocket handshake. Nil if none was requested.
    private let expectedAccept: String?
    private var reader = HeadReader(limit: Self.headBytes)
    private var body: BodyReader?
    private var isChunkedOut = false
    private var informational = 0
    private var input = ByteBuffer()

    /// The head has been written to the visitor.
    private(set) var hasHead = false
    private(set) var isEnded = false
    private(set) var status = 0
    /// Whether the visitor's connection can carry another request, according to the visitor and this response.
    private(set) var keepsVisitor: Bool
    /// The service's connection can carry another request.
    private(set) var keepsService = false
    /// The service identifies its visitor by the connection (NTLM, Negotiate).
    private(set) var isBound = false
    /// The number of dropped cookies.
    private(set) var droppedCookies = 0
    /// The number of content bytes for the visitor.
    private(set) var contentBytes = 0

    /// - Parameter edits: changes of the fields by policies.
    init(to head: RequestHead, host: String, edits: [HeaderRules] = []) {
        self.edits = edits
        method = head.method
        self.host = host
        isVersion10 = head.isVersion10
        keepsVisitor = head.keepsAlive
        expectedAccept =
            RequestForwarding.isWebSocket(head) ? head.block[.secWebSocketKey].map(Self.accept(for:)) : nil
    }

    /// RFC 6455, section 4.2.2.
    private static func accept(for key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Data("\(key)258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
        return Data(digest).base64EncodedString()
    }

    /// - Throws: `HTTPMessageError`: the response cannot be forwarded, or not any further.
    mutating func receive(_ bytes: ByteBuffer, into out: inout [ByteBuffer]) throws(HTTPMessageError) -> [Step] {
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
        var steps: [Step] = []
        while body == nil {
            guard let found = try reader.next(&input) else { return steps }
            let head = try ResponseHead(found, to: method)
            if head.status == 101 {
                try write(switching: head, into: &out)
                hasHead = true
                status = 101
                steps += [.head(status: 101), .switched]
                isEnded = true
                if input.readableBytes > 0 { out.append(takeRest()) }
                return steps
            }
            if head.status < 200 {
                informational += 1
                guard informational <= Self.informationalLimit else {
                    throw HTTPMessageError(.malformed, "too many interim responses")
                }
                // HTTP/1.0 does not support them.
                if !isVersion10 { out.append(line(of: head, fields: passing(head), more: "")) }
                continue
            }
            begin(head, into: &out)
            steps.append(.head(status: head.status))
        }
        try content(into: &out)
        if isEnded { steps.append(.ended) }
        return steps
    }

    /// Whether there are bytes after the end of the response.
    var hasRest: Bool { input.readableBytes > 0 }

    mutating func takeRest() -> ByteBuffer {
        defer { input = ByteBuffer() }
        return input
    }

    /// The service has sent its last byte.
    /// - Returns: whether the response is complete.
    mutating func finish(into out: inout [ByteBuffer]) -> Bool {
        guard !isEnded else { return true }
        guard let body, body.isUntilClose else { return false }
        if isChunkedOut { out.append(RequestForwarding.lastChunk(nil)) }
        isEnded = true
        return true
    }

    private mutating func content(into out: inout [ByteBuffer]) throws(HTTPMessageError) {
        guard var body else { return }
        defer { self.body = body }
        while let part = try body.next(&input) {
            switch part {
            case .content(let bytes):
                contentBytes += bytes.readableBytes
                out.append(isChunkedOut ? RequestForwarding.chunk(bytes) : bytes)
            case .end(let trailers):
                if isChunkedOut { out.append(RequestForwarding.lastChunk(trailers)) }
                isEnded = true
            }
        }
        if body.isComplete { isEnded = true }
    }

    private mutating func begin(_ head: ResponseHead, into out: inout [ByteBuffer]) {
        status = head.status
        hasHead = true
        keepsService = head.keepsAlive && head.body != .untilClose
        let authentication = head.block.words(.wwwAuthenticate)
        isBound = authentication.contains { $0.hasPrefix("ntlm") || $0.hasPrefix("negotiate") }
        let needsChunks = head.body == .chunked || head.body == .untilClose
        isChunkedOut = needsChunks && !isVersion10
        if needsChunks && isVersion10 { keepsVisitor = false }
        var more = ""
        if isChunkedOut { more += "Transfer-Encoding: chunked\r\n" }
        if !keepsVisitor { more += "Connection: close\r\n" }
        out.append(line(of: head, fields: passing(head), more: more))
        body = BodyReader(head.body)
    }

    private mutating func write(switching head: ResponseHead, into out: inout [ByteBuffer]) throws(HTTPMessageError) {
        guard let expectedAccept, head.block[.secWebSocketAccept] == expectedAccept,
            head.block.words(.upgrade) == ["websocket"]
        else { throw HTTPMessageError(.malformed, "the service switched to a protocol that was not requested") }
        keepsVisitor = false
        out.append(
            line(of: head, fields: passing(head), more: "Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    }

    /// The fields for the visitor. A cookie that names a domain other than this host would reach other tunnels.
    private mutating func passing(_ head: ResponseHead) -> [FieldBlock.Field] {
        let named = Set(head.block.words(.connection))
        return head.fields.filter { field in
            if !edits.isEmpty, !edits.allSatisfy({ $0.keeps(field, of: head.block) }) { return false }
            switch field.name {
            case .setCookie:
                if ServiceCookie.isForOneHost(head.block.value(field), host: host) { return true }
                droppedCookies += 1
                return false
            case .ours: return false
            case .other: return named.isEmpty || !named.contains(head.block.nameText(field).lowercased())
            case .trailer, .proxyAuthenticate: return true
            default: return !field.name.isHopByHop
            }
        }
    }

    private func line(of head: ResponseHead, fields: [FieldBlock.Field], more: String) -> ByteBuffer {
        var out = ByteBuffer()
        out.reserveCapacity(head.block.bytes.readableBytes + 64)
        out.writeString("HTTP/1.1 \(head.status) \(head.reason)\r\n")
        for field in fields { head.block.write(field, into: &out) }
        out.writeString(more)
        if head.status >= 200 { for edit in edits { out.writeImmutableBuffer(edit.lines) } }
        out.writeStaticString("\r\n")
        return out
    }
}

/// Cookies that services set.
enum ServiceCookie {
    /// Whether a cookie is sent only to the host that set it. A cookie with a wider `Domain` would be sent to sibling
    /// hosts, and they could set it (RFC 6265, section 4.1.2.3). Services may not use our own cookie names.
    static func isForOneHost(_ value: String, host: String) -> Bool {
        // Compare bytes, as browsers do: a character that Swift combines with a semicolon must not hide it.
        let parts = value.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        if let first = parts.first, text(first).hasPrefix(EdgeCookie.prefix.lowercased()) { return false }
        for attribute in parts.dropFirst() {
            let pair = attribute.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, text(pair[0]) == "domain" else { continue }
            let named = text(pair[1])
            let domain = named.hasPrefix(".") ? String(named.dropFirst()) : named
            if !domain.isEmpty && domain != host { return false }
        }
        return true
    }

    /// The text without surrounding blanks, in lower case.
    private static func text(_ bytes: Substring.UTF8View) -> String {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let rest = bytes.drop(while: isBlank)
        let end = rest.lastIndex { !isBlank($0) }.map { rest.index(after: $0) } ?? rest.startIndex
        return String(decoding: rest[..<end].map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}
