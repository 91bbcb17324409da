import COpenSSL

/// The TLS settings of one side: versions, ciphers, certificate, trust. Created once, then shared by its connections.
///
/// `@unchecked Sendable`: the SSL_CTX is changed in the initializers only. Afterwards OpenSSL reads it and counts its
/// references atomically ("SSL_CTX objects may be used from several threads once they are set up").
public final class TLSContext: @unchecked Sendable {
    /// Which certificates a client trusts.
    public enum Trust: Sendable, Equatable {
        /// Certificates from the system's certificate authorities. The name must match.
        case system
        /// Only this certificate, whatever names it contains.
        case pinned(Fingerprint)
        /// Any certificate with this public key. Certificates are renewed while the pinned key stays the same.
        case pinnedKey(Fingerprint)
        /// Any certificate. Used only if a person has asked for it.
        case anyone
        /// The certificates in a file (PEM). The name must match.
        case authorities(file: String)
    }

    /// TLS 1.2 ciphers: only forward secrecy, authenticated encryption and ECDHE. TLS 1.3 has its own list, and all of
    /// its ciphers are good.
    private static let ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20"
    private static let groups = "X25519:P-256:P-384"
    /// The protocol offered by ALPN (RFC 7301). Add `h2` in front of it once there is a handler for it.
    static let httpProtocol = "http/1.1"
    static let challengeProtocol = "acme-tls/1"

    let pointer: OpaquePointer
    private let trust: Trust?
    /// Keeps the callback's argument alive as long as OpenSSL may call it.
    private let store: ServerCertificates?
    private let staple: Staple?

    var verifiesNames: Bool {
        switch trust {
        case .pinned, .pinnedKey, .anyone, nil: false
        case .system, .authorities: true
        }
    }

    deinit { SSL_CTX_free(pointer) }

    init(
        _ method: OpaquePointer?, trust: Trust?, store: ServerCertificates?, staple: Staple? = nil
    ) throws(TLSError) {
        guard let pointer = SSL_CTX_new(method) else { throw .last(.failed, "no TLS context") }
        self.pointer = pointer
        self.trust = trust
        self.store = store
        self.staple = staple
        _ = postern_SSL_CTX_set_min_proto_version(pointer, TLS1_2_VERSION)
        // An idle connection holds no record buffers. This saves about 34 KiB each.
        _ = postern_SSL_CTX_set_mode(pointer, Int(SSL_MODE_RELEASE_BUFFERS))
        // Renegotiation and compression are not needed, and attacks use them.
        SSL_CTX_set_options(pointer, postern_SSL_options_always())
        guard SSL_CTX_set_cipher_list(pointer, Self.ciphers) == 1,
            postern_SSL_CTX_set1_groups_list(pointer, Self.groups) == 1
        else { throw .last(.failed, "the TLS ciphers are not available") }
    }

    // MARK: Client

    /// - Throws: ``TLSError``.
    public static func client(trust: Trust) throws(TLSError) -> TLSContext {
        try client(trust: trust, protocols: [httpProtocol])
    }

    static func client(trust: Trust, protocols: [String]) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_client_method(), trust: trust, store: nil)
        switch trust {
        case .pinned, .pinnedKey, .anyone: SSL_CTX_set_verify(context.pointer, SSL_VERIFY_NONE, nil)
        case .system:
            SSL_CTX_set_default_verify_paths(context.pointer)
            // The static library's default path may differ from this system's.
            for file in systemAuthorities { SSL_CTX_load_verify_file(context.pointer, file) }
            ERR_clear_error()
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        case .authorities(let file):
            guard SSL_CTX_load_verify_file(context.pointer, file) == 1 else {
                throw .last(.badCertificate, "cannot read the certificates in \(file)")
            }
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        }
        try context.offer(protocols)
        return context
    }

    /// Debian and its derivatives. Fedora and its derivatives.
    private static let systemAuthorities = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"]

    private func offer(_ protocols: [String]) throws(TLSError) {
        let wire = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        guard SSL_CTX_set_alpn_protos(pointer, wire, UInt32(wire.count)) == 0 else {
            throw .last(.failed, "ALPN cannot be set")
        }
    }

    /// Checks after the handshake, before any of our bytes is sent, that the certificate is the pinned one.
    func checkPin(of ssl: OpaquePointer) -> TLSError? {
        let expected: Fingerprint
        switch trust {
        case .pinned(let fingerprint), .pinnedKey(let fingerprint): expected = fingerprint
        case .system, .authorities, .anyone, nil: return nil
        }
        guard let certificate = SSL_get1_peer_certificate(ssl) else {
            return TLSError(.untrusted, "the server presented no certificate")
        }
        defer { X509_free(certificate) }
        if case .pinnedKey = trust {
            let found = Fingerprint(ofKeyIn: certificate)
            if found == expected { return nil }
            return TLSError(
                .untrusted,
                "the server's agent connection does not use the key that the server announced:\n  expected \(expected)\n"
                    + "  found    \(found)\nThe connection may be intercepted, or two servers share one address",
                found: found)
        }
        let found = Fingerprint(of: certificate)
        if found == expected { return nil }
        return TLSError(
            .untrusted,
            "the server's certificate is not the one you know:\n  expected \(expected)\n  found    \(found)\n"
                + "Ask its owner over another channel ('postern cert status' prints it there). If the new one is "
                + "right, run 'postern login URL --fingerprint \(found)'; if not, the connection may be intercepted",
            found: found)
    }

    // MARK: Server

    /// The context of a listener: it picks the certificate by the name that each client sends.
    /// - Throws: ``TLSError``.
    public static func listener(_ store: ServerCertificates) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_server_method(), trust: nil, store: store)
        context.serve()
        let argument = Unmanaged.passUnretained(store).toOpaque()
        SSL_CTX_set_client_hello_cb(
            context.pointer,
            { ssl, alert, argument in
                guard let ssl, let argument else { return SSL_CLIENT_HELLO_ERROR }
                let store = Unmanaged<ServerCertificates>.fromOpaque(argument).takeUnretainedValue()
                let hello = ClientHello(ssl)
                switch store.choice(for: hello) {
                case .context(let chosen): SSL_set_SSL_CTX(ssl, chosen.pointer)
                // One context serves all of them.
                case .pair(let pair):
                    guard pair.use(on: ssl) else {
                        alert?.pointee = SSL_AD_INTERNAL_ERROR
                        return SSL_CLIENT_HELLO_ERROR
                    }
                case nil:
                    alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
                    return SSL_CLIENT_HELLO_ERROR
                }
                return SSL_CLIENT_HELLO_SUCCESS
            }, argument)
        return context
    }

    /// The context of one certificate with its key, as the store keeps it.
    /// - Throws: ``TLSError`` if they do not belong together.
    static func certificate(_ pair: CertificatePair, staple: Staple? = nil) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_server_method(), trust: nil, store: nil, staple: staple)
        if let staple {
            _ = postern_SSL_CTX_set_status_cb(
                context.pointer, stapleCallback, UnsafeMutableRawPointer(bitPattern: staple.number))
        }
        context.serve()
        guard SSL_CTX_use_certificate(context.pointer, pair.leaf.pointer) == 1 else {
            throw .last(.badCertificate, "the certificate cannot be used")
        }
        for authority in pair.chain.dropFirst() {
            guard postern_SSL_CTX_add1_chain_cert(context.pointer, authority.pointer) == 1 else {
                throw .last(.badCertificate, "the certificate's chain cannot be used")
            }
        }
        guard SSL_CTX_use_PrivateKey(context.pointer, pair.key.pointer) == 1,
            SSL_CTX_check_private_key(context.pointer) == 1
        else { throw .last(.badCertificate, "the key does not belong to the certificate") }
        return context
    }

    private func serve() {
        // The server's preference applies, but a phone without AES in hardware gets ChaCha20.
        SSL_CTX_set_options(pointer, postern_SSL_options_server())
        // Sessions are resumed by ticket: the server stores nothing.
        _ = postern_SSL_CTX_set_session_cache_mode(pointer, Int(SSL_SESS_CACHE_OFF))
        _ = postern_SSL_CTX_set_ticket_keys(pointer, ticketKeyCallback)
        SSL_CTX_set_session_id_context(pointer, Self.sessionContext, UInt32(Self.sessionContext.count))
        SSL_CTX_set_alpn_select_cb(
            pointer,
            { _, out, outLength, offered, offeredLength, _ in
                guard let offered, let out, let outLength else { return SSL_TLSEXT_ERR_NOACK }
                var index = 0
                let count = Int(offeredLength)
                while index < count {
                    let length = Int(offered[index])
                    guard index + 1 + length <= count else { break }
                    let name = UnsafeBufferPointer(start: offered + index + 1, count: length)
                    // RFC 8737: a connection is a check only if it offers no other protocol.
                    let isCheck =
                        index == 0 && length + 1 == count && name.elementsEqual(TLSContext.challengeProtocol.utf8)
                    if isCheck || name.elementsEqual(TLSContext.httpProtocol.utf8) {
                        out.pointee = offered + index + 1
                        outLength.pointee = UInt8(length)
                        return SSL_TLSEXT_ERR_OK
                    }
                    index += 1 + length
                }
                // RFC 7301, section 3.2: it is an error if there is no common protocol.
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }, nil)
    }

    static let sessionContext = Array("postern".utf8)
}
