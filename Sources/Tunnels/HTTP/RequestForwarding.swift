import HTTP1
import NIOCore

/// Forwards a visitor's request to the service. The request is written anew and never copied as bytes.
struct RequestForwarding {
    /// The edge's information about the visitor.
    struct Visitor {
        /// Numeric.
        var address: String
        /// The host of the request.
        var host: String
        /// The member who has signed in, for the service.
        var member: String?
        /// The same, signed.
        var identity: String?
        /// The addresses that trusted proxies have forwarded, in order. Empty if the visitor is connected directly.
        var forwardedFor: [String] = []
    }

    let head: RequestHead
    /// The head for the service.
    private(set) var headBytes = ByteBuffer()
    private var reader: BodyReader
    private let isChunked: Bool
    /// The complete request has been read.
    private(set) var isEnded = false

    /// - Parameters:
    ///   - hostHeader: the `Host` header that the service gets.
    ///   - dropsAuthorization: the visitor's `Authorization` was for the edge.
    ///   - edits: changes of the fields by policies.
    init(
        _ head: RequestHead, from visitor: Visitor, hostHeader: String?, dropsAuthorization: Bool,
        edits: [HeaderRules] = []
    ) {
        self.head = head
        reader = BodyReader(head.body)
        isChunked = head.body == .chunked
        isEnded = head.body == .none
        let isUpgrade = Self.isWebSocket(head)
        headBytes.reserveCapacity(head.block.bytes.readableBytes + 256)
        headBytes.writeString("\(head.method) \(head.target) HTTP/1.1\r\nHost: ")
        headBytes.writeString(hostHeader ?? head.block[.host] ?? visitor.host)
        headBytes.writeStaticString("\r\n")
        // Fields named by `Connection` apply only to the visitor's connection (RFC 9110, section 7.6.1).
        let named = Set(head.block.words(.connection))
        for field in head.fields where Self.passes(field.name) {
            if field.name == .authorization && dropsAuthorization { continue }
            if !edits.isEmpty, !edits.allSatisfy({ $0.keeps(field, of: head.block) }) { continue }
            if field.name == .other, !named.isEmpty, named.contains(head.block.nameText(field).lowercased()) {
                continue
            }
            if field.name == .cookie { write(cookie: field) } else { head.block.write(field, into: &headBytes) }
        }
        if isChunked { headBytes.writeStaticString("Transfer-Encoding: chunked\r\n") }
        if case .length(let length) = head.body { headBytes.writeString("Content-Length: \(length)\r\n") }
        if head.body == .none, head.block.has(.contentLength) { headBytes.writeStaticString("Content-Length: 0\r\n") }
        if isUpgrade {
            headBytes.writeStaticString("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        } else if head.block.words(.te).contains("trailers") {
            headBytes.writeStaticString("Connection: TE\r\nTE: trailers\r\n")
        }
        writeForwarded(visitor)
        for edit in edits { headBytes.writeImmutableBuffer(edit.lines) }
        headBytes.writeStaticString("\r\n")
    }

    /// Whether the request is a handshake as defined in RFC 6455, section 4.1. Every other `Upgrade` is removed.
    static func isWebSocket(_ head: RequestHead) -> Bool {
        head.upgrade == "websocket" && head.method == "GET" && head.body == .none && head.block.has(.secWebSocketKey)
            && !head.isVersion10
    }

    private static func passes(_ name: FieldName) -> Bool {
        switch name {
        case .host, .contentLength, .ours, .forwarded, .xForwardedFor, .xForwardedHost, .xForwardedProto: false
        case .trailer: true
        default: !name.isHopByHop
        }
    }

    /// Our own cookies are not sent to the service. The rest of the field is passed byte for byte.
    private mutating func write(cookie field: FieldBlock.Field) {
        let prefix = Array(EdgeCookie.prefix.utf8)
        let value = head.block.bytes(of: field)
        let parts = value.readableBytesView.split(separator: UInt8(ascii: ";"))
        let kept = parts.map { $0.drop { $0 == 0x20 || $0 == 0x09 } }.filter { !$0.starts(with: prefix) }
        guard kept.count < parts.count else { return head.block.write(field, into: &headBytes) }
        guard !kept.isEmpty else { return }
        headBytes.writeStaticString("Cookie: ")
        for (index, part) in kept.enumerated() {
            if index > 0 { headBytes.writeStaticString("; ") }
            headBytes.writeBytes(part)
        }
        headBytes.writeStaticString("\r\n")
    }

    private mutating func writeForwarded(_ visitor: Visitor) {
        let chain = (visitor.forwardedFor + [visitor.address]).joined(separator: ", ")
        let node = visitor.address.contains(":") ? "\"[\(visitor.address)]\"" : visitor.address
        headBytes.writeString(
            "X-Forwarded-For: \(chain)\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: \(visitor.host)\r\n")
        headBytes.writeString("Forwarded: for=\(node);host=\(visitor.host);proto=https\r\n")
        if let member = visitor.member { headBytes.writeString("X-Postern-User: \(member)\r\n") }
        if let identity = visitor.identity { headBytes.writeString("X-Postern-Identity: \(identity)\r\n") }
    }

    /// Extracts the request's content from the visitor's bytes, in the form that the service gets.
    /// - Throws: `HTTPMessageError`.
    mutating func content(_ input: inout ByteBuffer, into out: inout [ByteBuffer]) throws(HTTPMessageError) {
        while !isEnded, let part = try reader.next(&input) {
            switch part {
            case .content(let bytes): if isChunked { out.append(Self.chunk(bytes)) } else { out.append(bytes) }
            case .end(let trailers):
                isEnded = true
                if isChunked { out.append(Self.lastChunk(trailers)) }
            }
        }
        if !isEnded, case .length = head.body, reader.isComplete { isEnded = true }
    }

    static func chunk(_ bytes: ByteBuffer) -> ByteBuffer {
        var chunk = ByteBuffer()
        chunk.reserveCapacity(bytes.readableBytes + 16)
        chunk.writeChunk(bytes)
        return chunk
    }

    /// The end of chunked content with its trailer fields, without fields that frame or route a message (RFC 9110, section 6.5.1).
    static func lastChunk(_ trailers: FieldBlock?) -> ByteBuffer {
        var end = ByteBuffer(string: "0\r\n")
        for field in trailers?.fields ?? [] where field.name == .other { trailers?.write(field, into: &end) }
        end.writeStaticString("\r\n")
        return end
    }
}

/// Cookies that the edge sets on a tunnel's host.
enum EdgeCookie {
    static let prefix = "__Host-postern-"
    /// The visitor has seen the warning.
    static let seen = "__Host-postern-seen"
    /// A sign-in that has begun: its state, and the path to return to.
    static let pending = "__Host-postern-pending"
    /// The session of a member.
    static let member = "__Host-postern-member"
}
