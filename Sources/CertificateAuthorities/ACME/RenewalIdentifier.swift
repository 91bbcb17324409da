import Model
import TransportSecurity

/// What RFC 9773, section 4.1, calls a certificate by: `base64url(authority key identifier).base64url(serial)`.
enum RenewalIdentifier {
    static func text(of certificate: Certificate) -> String {
        "\(Base64.url(certificate.authorityKeyIdentifier)).\(Base64.url(certificate.serial))"
    }
}
