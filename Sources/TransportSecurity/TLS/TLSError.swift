import COpenSSL

/// An error of TLS or of a certificate: a stable code, and a message that names the remedy if there is one.
public struct TLSError: Error, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// The peer aborted the handshake, or does not speak TLS.
        case handshakeFailed
        /// The peer sent plain HTTP to a TLS port.
        case plainHTTP
        /// The handshake was not complete within its deadline.
        case handshakeTimeout
        /// The peer's certificate is not trusted, or is not the pinned one.
        case untrusted
        /// The connection ended without close_notify: the received data may be truncated.
        case truncated
        /// A limit was exceeded.
        case overflow
        /// A certificate, key or configuration is unusable.
        case badCertificate
        /// OpenSSL failed unexpectedly.
        case failed
    }

    public let code: Code
    public let message: String
    /// The fingerprint of the presented certificate, if it is not the pinned one.
    public let found: Fingerprint?

    public init(_ code: Code, _ message: String, found: Fingerprint? = nil) {
        self.code = code
        self.message = message
        self.found = found
    }

    public var description: String { message }

    /// Returns the oldest error of this thread's error queue and clears the queue.
    static func last(_ code: Code, _ what: String) -> TLSError {
        let first = ERR_get_error()
        defer { ERR_clear_error() }
        guard first != 0 else { return TLSError(code, what) }
        let reason = ERR_reason_error_string(first).map { String(cString: $0) } ?? "error \(first)"
        if postern_ERR_reason(first) == SSL_R_HTTP_REQUEST {
            return TLSError(.plainHTTP, "a plain HTTP request was sent to a TLS port; use https://")
        }
        return TLSError(code, "\(what): \(reason)")
    }
}
