import Crypto
import FoundationEssentials
import Model
import TransportSecurity

/// An account's key and its signatures (RFC 8555, section 6.2: ES256, flattened JSON).
struct ACMEAccountKey: Sendable {
    private let key: P256.Signing.PrivateKey

    init() { key = P256.Signing.PrivateKey() }

    /// - Throws: swift-crypto's error if the text is not a P-256 key.
    init(pem: String) throws { key = try P256.Signing.PrivateKey(pemRepresentation: pem) }

    var pem: String { key.pemRepresentation }

    /// The public key (RFC 7517). Its members are in lexicographic order, as the thumbprint requires (RFC 7638).
    var jwk: String {
        let raw = Array(key.publicKey.rawRepresentation)
        return
            #"{"crv":"P-256","kty":"EC","x":"\#(Base64.url(raw[..<32]))","y":"\#(Base64.url(raw[32...]))"}"#
    }

    var thumbprint: String { Base64.url(SHA256.hash(data: Array(jwk.utf8))) }

    /// The key authorization that proves control of a name (RFC 8555, section 8.1).
    func authorization(token: String) -> String { "\(token).\(thumbprint)" }

    enum Identity {
        case jwk
        case account(String)
    }

    /// - Parameter payload: empty for POST-as-GET.
    func sign(_ payload: String, url: String, nonce: String?, as identity: Identity) throws -> String {
        let who =
            switch identity {
            case .jwk: #""jwk":\#(jwk)"#
            case .account(let url): #""kid":\#(JSONString.quoted(url))"#
            }
        let nonce = nonce.map { #","nonce":\#(JSONString.quoted($0))"# } ?? ""
        let header = #"{"alg":"ES256",\#(who)\#(nonce),"url":\#(JSONString.quoted(url))}"#
        let head = Base64.url(Array(header.utf8))
        let body = Base64.url(Array(payload.utf8))
        let signature = try key.signature(for: Array("\(head).\(body)".utf8))
        return JWS.flattened(head, body, Base64.url(signature.rawRepresentation))
    }

    /// External account binding (RFC 8555, section 7.3.4).
    func binding(keyId: String, hmacKey: [UInt8], url: String) -> String {
        let header = #"{"alg":"HS256","kid":\#(JSONString.quoted(keyId)),"url":\#(JSONString.quoted(url))}"#
        let head = Base64.url(Array(header.utf8))
        let body = Base64.url(Array(jwk.utf8))
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("\(head).\(body)".utf8), using: SymmetricKey(data: hmacKey))
        return JWS.flattened(head, body, Base64.url(code))
    }
}

enum JWS {
    static func flattened(_ head: String, _ body: String, _ signature: String) -> String {
        #"{"protected":"\#(head)","payload":"\#(body)","signature":"\#(signature)"}"#
    }
}

enum JSONString {
    /// A JSON string literal.
    static func quoted(_ text: String) -> String {
        // Encoding a string cannot fail.
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return (try? encoder.encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
    }
}
