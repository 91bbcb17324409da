import COpenSSL
import Glibc

/// An X.509 certificate (RFC 5280).
///
/// `@unchecked Sendable`: the X509 does not change after it was created. OpenSSL locks its internal caches.
public final class Certificate: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { X509_free(pointer) }

    /// All certificates in a PEM text, in the order of the text.
    /// - Throws: ``TLSError`` if there is none, or if there are more than a chain may have.
    public static func chain(pem: String) throws(TLSError) -> [Certificate] {
        let found = PEM.read(pem) { bio in
            var found: [Certificate] = []
            while found.count <= longestChain, let next = PEM_read_bio_X509(bio, nil, nil, nil) {
                found.append(Certificate(next))
            }
            return found
        }
        ERR_clear_error()
        guard let found, (1...longestChain).contains(found.count) else {
            throw TLSError(.badCertificate, "no certificate, or more than \(longestChain), was found")
        }
        return found
    }

    /// The maximum number of certificates in one chain. Public chains have three or four.
    private static let longestChain = 10

    public var fingerprint: Fingerprint { Fingerprint(of: pointer) }

    /// Epoch seconds.
    public var notBefore: Int { Self.seconds(X509_get0_notBefore(pointer)) }

    /// Epoch seconds.
    public var notAfter: Int { Self.seconds(X509_get0_notAfter(pointer)) }

    public var isSelfIssued: Bool { X509_NAME_cmp(X509_get_issuer_name(pointer), X509_get_subject_name(pointer)) == 0 }

    /// Whether the certificate is signed with the key it contains: its creator had that key.
    public var isSignedWithItsOwnKey: Bool {
        defer { ERR_clear_error() }
        return X509_self_signed(pointer, 1) == 1
    }

    /// The issuer on one line.
    public var issuer: String {
        PEM.write { postern_X509_NAME_print($0, X509_get_issuer_name(pointer)) > 0 ? 1 : 0 } ?? ""
    }

    /// The host names and addresses that the certificate is valid for (subjectAltName).
    public var names: [String] {
        guard let raw = X509_get_ext_d2i(pointer, NID_subject_alt_name, nil, nil) else { return [] }
        let list = OpaquePointer(raw)
        defer { postern_names_free(list) }
        return (0..<postern_names_count(list)).compactMap { index in
            guard let name = postern_names_at(list, index) else { return nil }
            var type: CInt = 0
            guard let value = GENERAL_NAME_get0_value(name, &type) else { return nil }
            let text = value.assumingMemoryBound(to: ASN1_STRING.self)
            let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(text), count: Int(ASN1_STRING_length(text)))
            switch type {
            case GEN_DNS: return String(decoding: bytes, as: UTF8.self)
            case GEN_IPADD: return Self.address(Array(bytes))
            default: return nil
            }
        }
    }

    /// The fingerprint of the public key. The key may be used for longer than the certificate.
    public var keyFingerprint: Fingerprint { Fingerprint(ofKeyIn: pointer) }

    /// Whether the certificate is valid for a host name (RFC 6125; wildcards in the leftmost label) or an address.
    public func matches(name: String) -> Bool {
        IPAddressText.isAddress(name)
            ? X509_check_ip_asc(pointer, name, 0) == 1 : X509_check_host(pointer, name, name.utf8.count, 0, nil) == 1
    }

    /// The certificate in PEM.
    public func pem() throws(TLSError) -> String {
        guard let text = PEM.write({ PEM_write_bio_X509($0, pointer) }) else {
            throw .last(.failed, "the certificate cannot be written")
        }
        return text
    }

    /// The serial number, big-endian, as encoded in DER (with a leading zero if the first bit is set).
    public var serial: [UInt8] {
        guard let number = X509_get0_serialNumber(pointer) else { return [] }
        let bytes = Array(
            UnsafeBufferPointer(start: ASN1_STRING_get0_data(number), count: Int(ASN1_STRING_length(number))))
        return bytes.first.map { $0 >= 0x80 } == true ? [0] + bytes : bytes
    }

    /// The issuing key's identifier. Empty if the certificate has none.
    public var authorityKeyIdentifier: [UInt8] {
        guard let identifier = X509_get0_authority_key_id(pointer) else { return [] }
        return Array(
            UnsafeBufferPointer(start: ASN1_STRING_get0_data(identifier), count: Int(ASN1_STRING_length(identifier))))
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return 0 }
        return timegm(&parts)
    }

    private static func address(_ bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard bytes.count == 4 || bytes.count == 16,
            inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, socklen_t(text.count)) != nil
        else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
