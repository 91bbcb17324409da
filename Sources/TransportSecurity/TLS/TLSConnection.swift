import COpenSSL
public import NIOCore

/// One TLS connection without a socket: ciphertext in, plaintext out, and the other way round.
///
/// Not `Sendable`: it belongs to one event loop.
final class TLSConnection {
    enum Progress: Equatable {
        case done
        case wantsMore
        /// The peer's close_notify has come.
        case closed
        case failed(TLSError)
    }

    private let ssl: OpaquePointer
    private let buffers = CiphertextBuffers()
    /// Keeps the callbacks' arguments alive.
    private let context: TLSContext

    /// - Throws: ``TLSError`` when there is no memory.
    init(context: TLSContext, isServer: Bool, serverName: String?) throws(TLSError) {
        guard let ssl = SSL_new(context.pointer) else { throw .last(.failed, "no TLS connection") }
        self.ssl = ssl
        self.context = context
        // Everything is set by now: whatever throws below, `deinit` frees the connection.
        let bio = try buffers.makeBIO()
        // One BIO for both ways: SSL_set_bio takes one reference when they are the same.
        SSL_set_bio(ssl, bio, bio)
        if isServer { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
        if let serverName { try expect(serverName) }
    }

    deinit { SSL_free(ssl) }

    /// Asks for a name (SNI, RFC 6066, section 3) and, unless a pin decides, holds the certificate to it.
    private func expect(_ name: String) throws(TLSError) {
        let isAddress = IPAddressText.isAddress(name)
        if !isAddress { _ = postern_SSL_set_tlsext_host_name(ssl, name) }
        guard context.verifiesNames else { return }
        let parameters = SSL_get0_param(ssl)
        let accepted =
            isAddress
            ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name) : X509_VERIFY_PARAM_set1_host(parameters, name, 0)
        guard accepted == 1 else { throw TLSError(.failed, "'\(name)' is no name that a certificate can carry") }
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

    /// What ALPN (RFC 7301) settled on, or nil.
    var negotiatedProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// Of the public key in the certificate that the peer has shown, and whose key it has proved to have; nil where it has shown none.
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

    /// Everything that can be read now. Its storage fits what came: plaintext is never longer than its ciphertext.
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
            last = progress(result, "the TLS connection broke", .failed)
            break
        }
        buffers.releaseRead()
        return (plaintext.readableBytes > 0 ? plaintext : nil, last)
    }

    /// Room for a read that nothing is known about, in bytes: a keystroke's frame fits.
    private static let smallestRead = 64

    /// Seals bytes into records of at most 16 KiB.
    /// - Throws: ``TLSError``.
    func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) {
        guard bytes.count > 0 else { return }
        ERR_clear_error()
        let records = (bytes.count + TLSLimits.recordBytes - 1) / TLSLimits.recordBytes
        buffers.reserve(bytes.count + records * TLSLimits.recordOverheadBytes)
        var written = 0
        // Our BIO takes everything, so one call writes all of it, but OpenSSL counts in `Int32`.
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

/// Bounds of a TLS connection.
public enum TLSLimits {
    /// Plaintext in one record (RFC 8446, section 5.1), in bytes.
    static let recordBytes = 16384
    /// Header, type byte and tag of a record, in bytes; TLS 1.2 adds an explicit nonce.
    static let recordOverheadBytes = 32
    /// What may wait for the end of a handshake, in bytes: a request with its body, no more.
    static let heldBytes = 1 << 20
    /// From the first packet to the finished handshake: three lost packets' worth of retries, far below a person's patience.
    public static let handshakeDeadline = TimeAmount.seconds(10)
    /// Answers to key updates in a row without data between them: what BoringSSL allows.
    static let unaskedAnswers = 32
    /// How long the peer gets to answer our close_notify before the socket is closed.
    static let closeNotifyTimeout = TimeAmount.seconds(2)
}
