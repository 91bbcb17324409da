import CertificateAuthorities

extension Settings {
    /// The source of the certificate.
    static let certificatesGroup: [any AnyTypedSetting] = [
        tlsMode, tlsNames, tlsCertificate, tlsKey, acmeDirectory, acmeEmail, acmeAgree, acmeChallenge, acmeCAFile,
        acmeEABKeyId, acmeEABHMACKey,
    ]

    static let tlsMode = TypedSetting<TLSMode>.choice(
        "tls-mode", standard: .selfSigned, "Where the certificate comes from.")
    static let tlsNames = TypedSetting.list(
        "tls-names", .names, "Names and addresses of this server; acme orders a certificate for them.")
    static let tlsCertificate = TypedSetting.list(
        "tls-certificate", .paths,
        "With tls-mode files: the certificate and its chain, PEM; a list if they are for different names, the first for clients that send no name.",
        reloads: true)
    static let tlsKey = TypedSetting.list(
        "tls-key", .paths,
        "With tls-mode files: the certificate's private key, PEM; one for each certificate, in the same order.",
        reloads: true)
    static let acmeDirectory = TypedSetting.text(
        "acme-directory", .url(["https"]), standard: "https://acme-v02.api.letsencrypt.org/directory",
        "With tls-mode acme: the certificate authority's directory.")
    static let acmeEmail = TypedSetting.optionalText(
        "acme-email", .text, "Contact address for the certificate authority.")
    static let acmeAgree = TypedSetting.yesNo(
        "acme-agree", "You agree to the certificate authority's terms of service; required for acme.")
    static let acmeChallenge = TypedSetting<OwnNameChallenge>.choice(
        "acme-challenge", standard: .http, "How names are validated: on port 80, or on port 443.")
    static let acmeCAFile = TypedSetting.optionalText(
        "acme-ca-file", .path,
        "Root certificates for the directory's HTTPS, PEM, if the system does not trust them.")
    static let acmeEABKeyId = TypedSetting.optionalText(
        "acme-eab-key-id", .text, "External account binding: the key id, from the authority.")
    static let acmeEABHMACKey = TypedSetting.optionalText(
        "acme-eab-hmac-key", .text, "External account binding: the key, base64url.", isSecret: true)
}

/// How this server proves that it controls its own names.
enum OwnNameChallenge: String, Sendable, CaseIterable {
    case http = "http-01"
    case tlsALPN = "tls-alpn-01"

    var challenge: ACMESettings.Challenge {
        switch self {
        case .http: .http
        case .tlsALPN: .tlsALPN
        }
    }
}

/// The source of the certificate.
enum TLSMode: String, Sendable, CaseIterable {
    /// Created here and pinned by clients.
    case selfSigned = "self-signed"
    /// Files that another program renews.
    case files
    case acme
}
