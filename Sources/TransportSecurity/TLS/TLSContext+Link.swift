import COpenSSL

extension TLSContext {
    /// The link protocol's name in ALPN.
    public static let linkProtocol = "postern-link/1"

    /// The TLS settings for the server's end of a link: only TLS 1.3, no tickets, no resumption, no early data. A
    /// client certificate is requested but not required. Every certificate is accepted here: the link looks up whose it
    /// is.
    ///
    /// This is a separate context, because OpenSSL copies neither these settings nor the session id context when a
    /// handshake changes its context. A ticket from the HTTP listener is not accepted here: no context of the link
    /// opens tickets.
    /// - Parameter identity: the key that machines know the appliance by.
    /// - Throws: ``TLSError``.
    public static func linkServer(_ identity: CertificatePair) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_server_method(), trust: nil, store: nil)
        guard SSL_CTX_use_certificate(context.pointer, identity.leaf.pointer) == 1,
            SSL_CTX_use_PrivateKey(context.pointer, identity.key.pointer) == 1,
            SSL_CTX_check_private_key(context.pointer) == 1
        else { throw .last(.badCertificate, "the agent connection's identity cannot be used") }
        _ = postern_SSL_CTX_set_min_proto_version(context.pointer, TLS1_3_VERSION)
        _ = postern_SSL_CTX_set_session_cache_mode(context.pointer, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_options(context.pointer, postern_SSL_options_no_ticket())
        SSL_CTX_set_num_tickets(context.pointer, 0)
        SSL_CTX_set_session_id_context(context.pointer, linkSessionContext, UInt32(linkSessionContext.count))
        SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        SSL_CTX_set_cert_verify_callback(context.pointer, { _, _ in 1 }, nil)
        SSL_CTX_set_alpn_select_cb(
            context.pointer,
            { _, out, outLength, offered, offeredLength, _ in
                let wanted = TLSContext.linkProtocol.utf8
                guard let offered, let out, let outLength, Int(offeredLength) == wanted.count + 1,
                    UnsafeBufferPointer(start: offered + 1, count: wanted.count).elementsEqual(wanted)
                else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                out.pointee = offered + 1
                outLength.pointee = UInt8(wanted.count)
                return SSL_TLSEXT_ERR_OK
            }, nil)
        return context
    }

    private static let linkSessionContext = Array("postern-link".utf8)

    /// The TLS settings for a machine's end of a link.
    /// - Parameters:
    ///   - key: the fingerprint of the appliance's identity key.
    ///   - machine: the key of an enrolled machine, in a certificate that only carries it. Nil sends none.
    /// - Throws: ``TLSError``.
    public static func linkClient(
        pinning key: Fingerprint, as machine: CertificatePair? = nil
    ) throws(TLSError) -> TLSContext {
        let context = try client(trust: .pinnedKey(key), protocols: [linkProtocol])
        if let machine {
            guard SSL_CTX_use_certificate(context.pointer, machine.leaf.pointer) == 1,
                SSL_CTX_use_PrivateKey(context.pointer, machine.key.pointer) == 1
            else { throw .last(.badCertificate, "the machine's key cannot be used") }
        }
        _ = postern_SSL_CTX_set_min_proto_version(context.pointer, TLS1_3_VERSION)
        return context
    }
}
