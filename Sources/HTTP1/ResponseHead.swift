public import NIOCore

/// The head of a response, checked by RFC 9112.
public struct ResponseHead: Sendable {
    /// Maximum number of header fields in one response.
    public static let fieldLimit = 200

    public let block: FieldBlock
    public let status: Int
    /// The reason phrase after the status; may be empty.
    public let reason: String
    public let body: BodyFraming
    /// Whether the service keeps its connection for another request.
    public let keepsAlive: Bool

    public var fields: [FieldBlock.Field] { block.fields }

    /// - Parameters:
    ///   - bytes: as ``HeadReader`` found it.
    ///   - method: of the request that this answers.
    /// - Throws: ``HTTPMessageError``.
    public init(_ bytes: ByteBuffer, to method: String) throws(HTTPMessageError) {
        var block = FieldBlock(bytes)
        var failure: HTTPMessageError?
        var status = 0
        var reason = ""
        var isVersion10 = false
        bytes.withUnsafeReadableBytes { source in
            do throws(HTTPMessageError) {
                let end = try Self.line(source, &status, &reason, &isVersion10)
                try FieldParser.parse(source, from: end, limit: Self.fieldLimit, into: &block.fields)
            } catch { failure = error }
        }
        if let failure { throw failure }
        self.block = block
        self.status = status
        self.reason = reason
        let framing = try BodyFraming(of: block, isVersion10: isVersion10)
        // RFC 9112, section 6.3.
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            body = .none
        } else if framing == .none && !block.has(.contentLength) {
            body = .untilClose
        } else {
            body = framing
        }
        let connection = block.words(.connection)
        keepsAlive = isVersion10 ? connection.contains("keep-alive") : !connection.contains("close")
    }

    /// - Returns: the index of the first field.
    private static func line(
        _ source: UnsafeRawBufferPointer, _ status: inout Int, _ reason: inout String, _ isVersion10: inout Bool
    ) throws(HTTPMessageError) -> Int {
        // At least "HTTP/1.1 200" and CR LF.
        guard source.count >= 14, source[8] == Byte.space else {
            throw HTTPMessageError(.malformed, "the status line is missing")
        }
        isVersion10 = source.prefix(8).elementsEqual("HTTP/1.0".utf8)
        guard isVersion10 || source.prefix(8).elementsEqual("HTTP/1.1".utf8) else {
            throw HTTPMessageError(.version, "the service does not use HTTP/1.1")
        }
        for digit in source[9..<12] {
            guard digit >= 0x30, digit <= 0x39 else { throw HTTPMessageError(.malformed, "the status is not a number") }
            status = status * 10 + Int(digit - 0x30)
        }
        guard status >= 100 else { throw HTTPMessageError(.malformed, "the status is below 100") }
        var index = 12
        guard source[index] == Byte.space || source[index] == Byte.cr else {
            throw HTTPMessageError(.malformed, "the status is longer than three digits")
        }
        if source[index] == Byte.space { index += 1 }
        let start = index
        while index + 1 < source.count, source[index] != Byte.cr {
            guard Byte.isValue(source[index]) else {
                throw HTTPMessageError(.malformed, "the status line contains an invalid character")
            }
            index += 1
        }
        guard index + 1 < source.count, source[index + 1] == Byte.lf else {
            throw HTTPMessageError(.malformed, "the status line is incomplete")
        }
        reason = String(decoding: source[start..<index], as: UTF8.self)
        return index + 2
    }
}
