import COpenSSL
import Model

/// Creates certificates and certificate requests.
public enum Issuing {
    /// The lifetime of a self-signed certificate, in seconds: ten years. Clients pin it and nobody renews it for them,
    /// so it is long.
    private static let selfSignedLife = 10 * 365 * 86400
    /// How far in the past a certificate becomes valid, in seconds: one hour. Clocks differ.
    private static let clockTolerance = 3600

    /// Creates a self-signed certificate.
    /// - Parameter names: host names and addresses.
    /// - Throws: ``TLSError``.
    public static func selfSigned(names: [String], now: Int) throws(TLSError) -> CertificatePair {
        try signed(
            names: names, from: now - clockTolerance, until: now + selfSignedLife,
            extensions: [
                (NID_basic_constraints, "critical,CA:FALSE"), (NID_key_usage, "critical,digitalSignature"),
                (NID_ext_key_usage, "serverAuth"),
            ])
    }

    /// Creates the certificate that answers a tls-alpn-01 check (RFC 8737, section 3).
    /// - Parameter digest: SHA-256 of the key authorization, 32 bytes.
    /// - Throws: ``TLSError``.
    public static func challenge(name: String, digest: [UInt8], now: Int) throws(TLSError) -> CertificatePair {
        let octets = Hexadecimal.text(digest)
        return try signed(
            names: [name], from: now - clockTolerance, until: now + 7 * 86400,
            extensions: [], acmeIdentifier: "critical,DER:0420\(octets)")
    }

    /// Creates a certificate signing request (RFC 2986) in DER.
    /// - Throws: ``TLSError``.
    public static func request(names: [String], key: PrivateKey) throws(TLSError) -> [UInt8] {
        guard let request = X509_REQ_new(), let list = postern_extensions_new() else {
            throw .last(.failed, "no certificate request")
        }
        defer {
            X509_REQ_free(request)
            postern_extensions_free(list)
        }
        guard let san = X509V3_EXT_conf_nid(nil, nil, NID_subject_alt_name, alternativeNames(names)) else {
            throw .last(
                .badCertificate, "these names are not valid for a certificate: \(names.joined(separator: ", "))")
        }
        guard postern_extensions_push(list, san) > 0, X509_REQ_add_extensions(request, list) == 1,
            X509_REQ_set_pubkey(request, key.pointer) == 1, X509_REQ_sign(request, key.pointer, EVP_sha256()) > 0
        else { throw .last(.failed, "the certificate request cannot be signed") }
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_REQ(request, &encoded)
        guard count > 0, let encoded else { throw .last(.failed, "the certificate request cannot be written") }
        defer { CRYPTO_free(encoded, nil, 0) }
        return Array(UnsafeBufferPointer(start: encoded, count: Int(count)))
    }

    private static func signed(
        names: [String], from: Int, until: Int, extensions: [(CInt, String)], acmeIdentifier: String? = nil
    ) throws(TLSError) -> CertificatePair {
        let key = try PrivateKey.generate()
        guard let pointer = X509_new() else { throw .last(.failed, "no certificate") }
        let certificate = Certificate(pointer)
        var serial = [UInt8](repeating: 0, count: 16)
        RAND_bytes(&serial, 16)
        // Positive and not zero (RFC 5280, section 4.1.2.2).
        serial[0] = serial[0] & 0x7F | 0x40
        let number = BN_bin2bn(serial, 16, nil)
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer))
        BN_free(number)
        X509_set_version(pointer, 2)
        ASN1_TIME_set(X509_getm_notBefore(pointer), from)
        ASN1_TIME_set(X509_getm_notAfter(pointer), until)
        let subject = X509_get_subject_name(pointer)
        // A common name has at most 64 characters. Clients check the names in the extension.
        let common = Array((names.first ?? "postern").prefix(64).utf8)
        X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, common, CInt(common.count), -1, 0)
        X509_set_issuer_name(pointer, subject)
        var all = extensions + [(NID_subject_alt_name, alternativeNames(names))]
        if let acmeIdentifier { all.append((OBJ_txt2nid("1.3.6.1.5.5.7.1.31"), acmeIdentifier)) }
        for (identifier, value) in all {
            guard let made = makeExtension(identifier, value) else {
                throw .last(
                    .badCertificate, "these names are not valid for a certificate: \(names.joined(separator: ", "))")
            }
            X509_add_ext(pointer, made, -1)
            X509_EXTENSION_free(made)
        }
        guard X509_set_pubkey(pointer, key.pointer) == 1, X509_sign(pointer, key.pointer, EVP_sha256()) > 0 else {
            throw .last(.failed, "the certificate cannot be signed")
        }
        return try CertificatePair(chain: [certificate], key: key)
    }

    private static func makeExtension(_ identifier: CInt, _ value: String) -> OpaquePointer? {
        // OpenSSL may know the object of the ACME identifier by number only.
        identifier == 0
            ? X509V3_EXT_nconf(nil, nil, "1.3.6.1.5.5.7.1.31", value) : X509V3_EXT_conf_nid(nil, nil, identifier, value)
    }

    private static func alternativeNames(_ names: [String]) -> String {
        names.map { (IPAddressText.isAddress($0) ? "IP:" : "DNS:") + $0 }.joined(separator: ",")
    }
}
