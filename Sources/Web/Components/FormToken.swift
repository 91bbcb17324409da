import Crypto
import Model

/// Binds a form to the browser it was created for: it cannot be created without the browser's cookie.
///
/// On each page the token is exclusive-ored with different random bytes: pages are compressed, and a text that is the
/// same on all of them could be guessed from their lengths (BREACH).
struct FormToken: Sendable {
    private let code: [UInt8]
    let text: String

    init(secret: String) {
        code = Array(
            HMAC<SHA256>.authenticationCode(for: Array("form".utf8), using: SymmetricKey(data: Array(secret.utf8))))
        let mask = code.map { _ in UInt8.random(in: .min ... .max) }
        text = Hexadecimal.text(mask + zip(code, mask).map { $0 ^ $1 })
    }

    var field: HTML { "<input type=\"hidden\" name=\"form\" value=\"\(text)\">" }

    func matches(_ other: String?) -> Bool {
        guard let bytes = Hexadecimal.bytes(other ?? ""), bytes.count == 2 * code.count else { return false }
        let theirs = zip(bytes.prefix(code.count), bytes.suffix(code.count)).map { $0 ^ $1 }
        return zip(code, theirs).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
