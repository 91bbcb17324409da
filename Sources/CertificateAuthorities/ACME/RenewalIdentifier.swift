import Model
import TransportSecurity

/// The identifier of a certificate in RFC 9773, section 4.1: `base64url(authority key identifier).base64url(serial)`.
enum RenewalIdentifier {
    static func text(of certificate: Certificate) -> String {
        "\(Base64.url(certificate.authorityKeyIdentifier)).\(Base64.url(certificate.serial))"
    }
}
