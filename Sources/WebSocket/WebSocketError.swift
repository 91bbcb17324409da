/// A violation of RFC 6455 by a peer, with the matching close code.
public struct WebSocketError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The close code (RFC 6455, section 7.4.1).
    public let closeCode: UInt16
    /// The reason for the close frame: at most 123 bytes.
    public let description: String

    /// The framing is invalid.
    static func violation(_ reason: String) -> WebSocketError { WebSocketError(closeCode: 1002, description: reason) }
    /// A text is not UTF-8.
    static let notUTF8 = WebSocketError(closeCode: 1007, description: "text is UTF-8 (RFC 6455, section 8.1)")
    static func tooLong(_ bound: Int) -> WebSocketError {
        WebSocketError(closeCode: 1009, description: "a message is at most \(bound) bytes long")
    }
}
