import COpenSSL

/// Asks a certificate's issuer whether the certificate is still valid (RFC 6960), as far as stapling needs it.
public enum OCSP {
    /// How far clocks may differ, in seconds.
    private static let clockTolerance = 300
    /// The maximum length of a responder's address, in bytes.
    private static let addressLimit = 1024

    /// The responder that a certificate names. Nil if it names none: then nothing is stapled.
    public static func responder(of certificate: Certificate) -> String? {
        var text = [CChar](repeating: 0, count: addressLimit)
        guard postern_ocsp_url(certificate.pointer, &text, text.count) == 1 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The OCSP request, in DER.
    /// - Throws: ``TLSError``.
    public static func request(_ leaf: Certificate, issuer: Certificate) throws(TLSError) -> [UInt8] {
        guard let request = OCSP_REQUEST_new() else { throw .last(.failed, "no OCSP request") }
        defer { OCSP_REQUEST_free(request) }
        guard let id = OCSP_cert_to_id(EVP_sha1(), leaf.pointer, issuer.pointer) else {
            throw .last(.failed, "no OCSP request")
        }
        guard OCSP_request_add0_id(request, id) != nil else {
            OCSP_CERTID_free(id)
            throw .last(.failed, "no OCSP request")
        }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_OCSP_REQUEST(request, &encoded)
        guard count > 0, let encoded else { throw .last(.failed, "the OCSP request cannot be written") }
        defer { CRYPTO_free(encoded, nil, 0) }
        return Array(UnsafeBufferPointer(start: encoded, count: Int(count)))
    }

    /// Checks that a response is genuine and current, and that it says the certificate is valid.
    /// - Throws: ``TLSError`` that says what the response is instead.
    public static func check(_ answer: [UInt8], _ leaf: Certificate, issuer: Certificate) throws(TLSError) {
        let parsed = answer.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var start = bytes.baseAddress
            return d2i_OCSP_RESPONSE(nil, &start, bytes.count)
        }
        guard let parsed else { throw .last(.failed, "the OCSP response cannot be read") }
        defer { OCSP_RESPONSE_free(parsed) }
        guard OCSP_response_status(parsed) == OCSP_RESPONSE_STATUS_SUCCESSFUL,
            let basic = OCSP_response_get1_basic(parsed)
        else { throw .last(.failed, "the OCSP responder refused the request") }
        defer { OCSP_BASICRESP_free(basic) }
        try verify(basic, issuer)
        guard let id = OCSP_cert_to_id(EVP_sha1(), leaf.pointer, issuer.pointer) else {
            throw .last(.failed, "no OCSP request")
        }
        defer { OCSP_CERTID_free(id) }
        var (status, reason) = (CInt(-1), CInt(-1))
        var thisUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        var nextUpdate: UnsafeMutablePointer<ASN1_GENERALIZEDTIME>?
        guard OCSP_resp_find_status(basic, id, &status, &reason, nil, &thisUpdate, &nextUpdate) == 1 else {
            throw .last(.failed, "the OCSP response is for another certificate")
        }
        guard OCSP_check_validity(thisUpdate, nextUpdate, clockTolerance, -1) == 1 else {
            throw .last(.failed, "the OCSP response is out of date")
        }
        guard status == V_OCSP_CERTSTATUS_GOOD else {
            throw TLSError(.badCertificate, "the issuer says that the certificate is revoked; renew it")
        }
    }

    private static func verify(_ basic: OpaquePointer, _ issuer: Certificate) throws(TLSError) {
        guard let chain = postern_certificates_new(), let store = X509_STORE_new() else {
            throw .last(.failed, "no memory")
        }
        defer {
            postern_certificates_free(chain)
            X509_STORE_free(store)
        }
        _ = postern_certificates_push(chain, issuer.pointer)
        X509_STORE_add_cert(store, issuer.pointer)
        // The response is signed by the issuer itself or by a responder it has named. It is trusted because it issued
        // the certificate.
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        guard OCSP_basic_verify(basic, chain, store, 0) == 1 else {
            throw .last(.failed, "the OCSP response is not signed by the issuer")
        }
    }
}
