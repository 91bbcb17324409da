import COpenSSL

/// What went wrong with TLS or a certificate: a stable code, and a sentence that names the remedy where there is one.
public struct TLSError: Error, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// The peer broke the handshake off, or speaks something else.
        case handshakeFailed
        /// Plain HTTP came to a TLS port.
        case plainHTTP
        /// No handshake within its deadline.
        case handshakeTimeout
        /// The peer's certificate is not trusted, or is not the pinned one.
        case untrusted
        /// The connection ended without close_notify: what was received may be truncated.
        case truncated
        /// A bound was passed.
        case overflow
        /// A certificate, key or configuration is unusable.
        case badCertificate
        /// OpenSSL failed where it should not.
        case failed
    }

    public let code: Code
    public let message: String
    /// The certificate that was shown, where it is not the pinned one.
    public let found: Fingerprint?

    public init(_ code: Code, _ message: String, found: Fingerprint? = nil) {
        self.code = code
        self.message = message
        self.found = found
    }

    public var description: String { message }

    /// The oldest error of this thread's queue, which is emptied.
    static func last(_ code: Code, _ what: String) -> TLSError {
        let first = ERR_get_error()
        defer { ERR_clear_error() }
        guard first != 0 else { return TLSError(code, what) }
        let reason = ERR_reason_error_string(first).map { String(cString: $0) } ?? "error \(first)"
        if postern_ERR_reason(first) == SSL_R_HTTP_REQUEST {
            return TLSError(.plainHTTP, "a plain HTTP request came to a TLS port; use https://")
        }
        return TLSError(code, "\(what): \(reason)")
    }
}
