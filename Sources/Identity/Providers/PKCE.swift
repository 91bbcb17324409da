import Crypto
import Model

/// Proof Key for Code Exchange (RFC 7636), with S256.
enum PKCE {
    /// Section 4.2.
    static func challenge(_ verifier: String) -> String {
        Base64.url(Array(SHA256.hash(data: Array(verifier.utf8))))
    }
}
