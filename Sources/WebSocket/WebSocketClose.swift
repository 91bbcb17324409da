public import NIOCore

/// A close frame's payload (RFC 6455, section 5.5.1).
public struct WebSocketClose: Sendable, Equatable {
    /// Nil if the peer sent no code.
    public let code: UInt16?
    public let reason: String

    /// Reads a payload that ``WebSocketReader`` has checked.
    public init(_ payload: ByteBuffer) {
        var payload = payload
        code = payload.readInteger()
        reason = payload.readString(length: payload.readableBytes) ?? ""
    }

    /// A close frame as servers send it. A reason that is too long is cut between two characters.
    public static func frame(code: UInt16, reason: String) -> ByteBuffer {
        var text = reason
        while text.utf8.count > WebSocketHeader.controlBytes - 2 { text.removeLast() }
        var frame = ByteBufferAllocator().buffer(capacity: 4 + text.utf8.count)
        frame.writeWebSocketHeader(.close, payloadBytes: 2 + text.utf8.count)
        frame.writeInteger(code)
        frame.writeString(text)
        return frame
    }

    /// Codes that may be sent (section 7.4). 1004, 1005, 1006 and 1015 are reserved and never sent.
    static func check(_ payload: ByteBuffer) throws(WebSocketError) {
        var payload = payload
        guard payload.readableBytes > 0 else { return }
        guard let code: UInt16 = payload.readInteger() else {
            throw .violation("a close frame's payload is 1 byte; a code needs 2")
        }
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: break
        default: throw .violation("close code \(code) must not be sent")
        }
        guard payload.isUTF8 else { throw .notUTF8 }
    }
}
