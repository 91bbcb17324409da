import COpenSSL
public import NIOCore

/// One TLS connection without a socket: converts ciphertext to plaintext and plaintext to ciphertext.
///
/// Not `Sendable`: it belongs to one event loop.
final class TLSConnection {
    enum Progress: Equatable {
        case done
        case wantsMore
        /// The peer's close_notify was received.
        case closed
        case failed(TLSError)
    }

    private let ssl: OpaquePointer
    private let buffers = CiphertextBuffers()
    /// Keeps the callbacks' arguments alive.
    private let context: TLSContext

    /// - Throws: ``TLSError`` if memory allocation fails.
    init(context: TLSContext, isServer: Bool, serverName: String?) throws(TLSError) {
        guard let ssl = SSL_new(context.pointer) else { throw .last(.failed, "no TLS connection") }
        self.ssl = ssl
        self.context = context
        // All properties are set here: if the code below throws, `deinit` frees the connection.
        let bio = try buffers.makeBIO()
        // One BIO for both directions: SSL_set_bio takes one reference if they are the same.
        SSL_set_bio(ssl, bio, bio)
        if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        if let serverName { try expect(serverName) }
    }

    deinit { SSL_free(ssl) }

    /// Sends a name (SNI, RFC 6066, section 3) and, unless a pin is used, requires the certificate to match it.
    private func expect(_ name: String) throws(TLSError) {
        let isAddress = IPAddressText.isAddress(name)
        if !isAddress { _ = postern_SSL_set_tlsext_host_name(ssl, name) }
        guard context.verifiesNames else { return }
        let parameters = SSL_get0_param(ssl)
        let accepted =
            isAddress
            ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name) : X509_VERIFY_PARAM_set1_host(parameters, name, 0)
        guard accepted == 1 else { throw TLSError(.failed, "'\(name)' is not a valid name for a certificate") }
    }

    // MARK: Ciphertext

    func receive(_ ciphertext: ByteBuffer) { buffers.append(ciphertext) }

    func takeCiphertext() -> ByteBuffer? { buffers.takeOutbound() }

    // MARK: Handshake

    func handshake() -> Progress {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            if let error = context.checkPin(of: ssl) { return .failed(error) }
            return .done
        }
        return progress(result, "the TLS handshake failed", .handshakeFailed)
    }

    /// The protocol negotiated by ALPN (RFC 7301), or nil.
    var negotiatedProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// The fingerprint of the public key in the peer's certificate. The peer has proved that it has the private key.
    /// Nil if it sent no certificate.
    var peerKey: Fingerprint? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        return Fingerprint(ofKeyIn: certificate)
    }

    var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// Sends the close_notify alert (RFC 8446, section 6.1).
    func sendCloseNotify() {
        ERR_clear_error()
        SSL_shutdown(ssl)
        ERR_clear_error()
    }

    // MARK: Plaintext

    /// Reads all available plaintext. The storage fits the received bytes: plaintext is never longer than its
    /// ciphertext.
    func read() -> (ByteBuffer?, Progress) {
        ERR_clear_error()
        var plaintext = ByteBuffer()
        var last = Progress.wantsMore
        while true {
            let room = max(buffers.waitingBytes, Int(SSL_pending(ssl)), Self.smallestRead)
            var result: CInt = 0
            plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { target in
                result = SSL_read(ssl, target.baseAddress, CInt(clamping: target.count))
                return max(0, Int(result))
            }
            if result > 0 { continue }
            last = progress(result, "the TLS connection failed", .failed)
            break
        }
        buffers.releaseRead()
        return (plaintext.readableBytes > 0 ? plaintext : nil, last)
    }

    /// The initial capacity of a read of unknown size, in bytes: a keystroke's frame fits.
    private static let smallestRead = 64

    /// Encrypts bytes into records of at most 16 KiB.
    /// - Throws: ``TLSError``.
    func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) {
        guard bytes.count > 0 else { return }
        ERR_clear_error()
        let records = (bytes.count + TLSLimits.recordBytes - 1) / TLSLimits.recordBytes
        buffers.reserve(bytes.count + records * TLSLimits.recordOverheadBytes)
        var written = 0
        // Our BIO accepts all bytes, so one call writes all of them. OpenSSL counts in `Int32`.
        while written < bytes.count {
            let part = CInt(clamping: bytes.count - written)
            let result = SSL_write(ssl, bytes.baseAddress?.advanced(by: written), part)
            guard result > 0 else { throw .last(.failed, "the TLS connection cannot be written") }
            written += Int(result)
        }
    }

    private func progress(_ result: CInt, _ what: String, _ code: TLSError.Code) -> Progress {
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsMore
        case SSL_ERROR_ZERO_RETURN: return .closed
        default:
            let verification = SSL_get_verify_result(ssl)
            if verification != X509_V_OK, code == .handshakeFailed, !SSL_is_server(ssl).isTrue {
                ERR_clear_error()
                let reason = String(cString: X509_verify_cert_error_string(Int(verification)))
                return .failed(TLSError(.untrusted, "the server's certificate is not trusted: \(reason)"))
            }
            return .failed(.last(code, what))
        }
    }
}

extension CInt {
    fileprivate var isTrue: Bool { self != 0 }
}

/// The limits of a TLS connection.
public enum TLSLimits {
    /// The maximum plaintext in one record (RFC 8446, section 5.1), in bytes.
    static let recordBytes = 16384
    /// Header, type byte and tag of a record, in bytes; TLS 1.2 adds an explicit nonce.
    static let recordOverheadBytes = 32
    /// The maximum number of bytes held until the handshake is complete: a request with its body.
    static let heldBytes = 1 << 20
    /// The time from the first packet to the completed handshake: enough for three lost packets' retries, far below a
    /// person's patience.
    public static let handshakeDeadline = TimeAmount.seconds(10)
    /// The maximum number of responses to key updates in a row without data between them. BoringSSL has the same limit.
    static let unaskedAnswers = 32
    /// The time the peer has to answer our close_notify before the socket is closed.
    static let closeNotifyTimeout = TimeAmount.seconds(2)
}
