public import NIOCore

/// The head of a request, checked against RFC 9112. Its framing is unambiguous.
public struct RequestHead: Sendable {
    /// Maximum number of header fields in one request.
    public static let fieldLimit = 100
    /// The maximum length of a method, in bytes.
    private static let methodLimit = 32

    public let block: FieldBlock
    public let method: String
    /// The path and query as received; `*` for the server as a whole.
    public let target: String
    /// The requested host, in lower case and without a port; nil if an HTTP/1.0 request has none.
    public let host: String?
    public let isVersion10: Bool
    public let body: BodyFraming
    /// Whether the client keeps its connection for another request.
    public let keepsAlive: Bool
    /// The protocol in `Upgrade`, in lower case; nil if `Connection` does not list it.
    public let upgrade: String?

    public var fields: [FieldBlock.Field] { block.fields }

    /// - Parameter bytes: a head as ``HeadReader`` returned it.
    /// - Throws: ``HTTPMessageError``.
    public init(_ bytes: ByteBuffer) throws(HTTPMessageError) {
        var block = FieldBlock(bytes)
        var line = Line()
        var failure: HTTPMessageError?
        bytes.withUnsafeReadableBytes { source in
            do throws(HTTPMessageError) {
                line = try Line(source)
                try FieldParser.parse(source, from: line.end, limit: Self.fieldLimit, into: &block.fields)
            } catch { failure = error }
        }
        if let failure { throw failure }
        self.block = block
        method = line.method
        isVersion10 = line.isVersion10
        let named = try Self.target(line.target, method: line.method)
        target = named.target
        host = try Self.host(block, named.authority, isVersion10: line.isVersion10)
        body = try BodyFraming(of: block, isVersion10: line.isVersion10)
        let connection = block.words(.connection)
        keepsAlive = !line.isVersion10 && !connection.contains("close")
        let upgrades = block.words(.upgrade)
        upgrade = connection.contains("upgrade") && upgrades.count == 1 ? upgrades[0] : nil
    }

    /// The parts of the first line.
    private struct Line {
        var method = "", target = ""
        var isVersion10 = false
        /// The index of the first field.
        var end = 0

        init() {}

        init(_ source: UnsafeRawBufferPointer) throws(HTTPMessageError) {
            var index = 0
            while index < source.count, Byte.isToken(source[index]) { index += 1 }
            guard (1...RequestHead.methodLimit).contains(index), source[index] == Byte.space else {
                throw HTTPMessageError(.malformed, "the request line has no method")
            }
            method = String(decoding: source[..<index], as: UTF8.self)
            index += 1
            let start = index
            while index < source.count, source[index] > 0x20, source[index] != 0x7F { index += 1 }
            guard index > start, source[index] == Byte.space else {
                throw HTTPMessageError(.malformed, "the request line has no target")
            }
            target = String(decoding: source[start..<index], as: UTF8.self)
            // A target that is not UTF-8 would be changed by the conversion.
            guard target.utf8.count == index - start else {
                throw HTTPMessageError(.malformed, "the target contains bytes that must be percent-encoded")
            }
            index += 1
            let rest = source[index...]
            guard rest.count >= 10, rest[index + 8] == Byte.cr, rest[index + 9] == Byte.lf else {
                throw HTTPMessageError(.malformed, "the request line does not end with a version")
            }
            isVersion10 = rest.prefix(8).elementsEqual("HTTP/1.0".utf8)
            guard isVersion10 || rest.prefix(8).elementsEqual("HTTP/1.1".utf8) else {
                throw HTTPMessageError(.version, "this is not HTTP/1.1")
            }
            end = index + 10
        }
    }

    private static func target(
        _ text: String, method: String
    ) throws(HTTPMessageError) -> (target: String, authority: String?) {
        if text.hasPrefix("/") || text == "*" && method == "OPTIONS" { return (text, nil) }
        // The absolute form is meant for proxies, but every server must accept it (RFC 9112, section 3.2.2).
        for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
            let rest = text.dropFirst(scheme.count)
            let authority = rest.prefix { $0 != "/" && $0 != "?" }
            let path = rest[authority.endIndex...]
            return (path.hasPrefix("/") ? String(path) : "/\(path)", String(authority))
        }
        throw HTTPMessageError(.malformed, "the target is not a path")
    }

    private static func host(
        _ block: FieldBlock, _ authority: String?, isVersion10: Bool
    ) throws(HTTPMessageError) -> String? {
        let named = block.values(.host)
        guard named.count <= 1 else { throw HTTPMessageError(.malformed, "there is more than one Host") }
        guard let text = authority ?? named.first else {
            if isVersion10 { return nil }
            throw HTTPMessageError(.malformed, "Host is missing")
        }
        guard let host = Self.hostName(text) else { throw HTTPMessageError(.malformed, "Host is not a host name") }
        if authority != nil, let other = named.first, Self.hostName(other) != host {
            throw HTTPMessageError(.malformed, "the target and Host name different hosts")
        }
        return host
    }

    /// A host without its port, in lower case and without a trailing dot; nil if it is not a valid host.
    static func hostName(_ text: String) -> String? {
        var name = text.lowercased()[...]
        if name.hasPrefix("[") {
            guard let close = name.firstIndex(of: "]") else { return nil }
            let port = name[name.index(after: close)...]
            guard port.isEmpty || Self.isPort(port) else { return nil }
            return String(name[name.index(after: name.startIndex)..<close])
        }
        if let colon = name.lastIndex(of: ":") {
            guard Self.isPort(name[colon...]) else { return nil }
            name = name[..<colon]
        }
        if name.hasSuffix(".") { name = name.dropLast() }
        let isName = name.utf8.allSatisfy { byte in
            byte >= 0x61 && byte <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2D || byte == 0x2E
                || byte == 0x5F
        }
        // 253: the maximum length of a DNS name.
        return (1...253).contains(name.utf8.count) && isName ? String(name) : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.hasPrefix(":") && text.count <= 6 && text.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    }
}
