import HTTPTypes
import Hummingbird
import Model
import Storage

/// The browser's cookies. `__Host-`: over HTTPS, only from this host, for all paths (RFC 6265bis, section 4.1.3.2).
enum Cookies {
    /// Contains the secret of a sign-in.
    static let signIn = "__Host-postern"
    /// Binds forms of people who are not signed in to their browser.
    static let visitor = "__Host-postern-visitor"
    /// Contains a sign-in between the password and the second factor.
    static let pending = "__Host-postern-pending"
    /// Each contains a sign-in during the redirect to a provider. One browser may have several at once, in different
    /// tabs. A browser sends all of them with every request, 700 bytes each.
    static let attempts = (1...6).map { "__Host-postern-provider-\($0)" }

    /// Contains a sign-on with an organisation's issuer during the redirect.
    static let signOn = "__Host-postern-sign-on"

    /// The result of the last action, for the next page to show.
    static let notice = "__Host-postern-notice"

    static func value(_ name: String, of request: Request) -> String? {
        request.headers[.cookie].flatMap { value(name, in: $0) }
    }

    /// Finds our cookie, however many cookies a neighbour below the same domain has set: nobody else can set a
    /// `__Host-` name here. The header is at most as long as a request's head.
    /// - Parameters:
    ///   - name: one of our cookies.
    ///   - header: the value of `Cookie` (RFC 6265, section 4.2.1).
    static func value(_ name: String, in header: String) -> String? {
        let wanted = Array("\(name)=".utf8)
        // Compare bytes, as browsers write them.
        for pair in header.utf8.split(separator: UInt8(ascii: ";")) {
            let trimmed = pair.drop { $0 == UInt8(ascii: " ") }
            guard trimmed.starts(with: wanted) else { continue }
            let value = String(Substring(trimmed.dropFirst(wanted.count)))
            return value.isEmpty ? nil : value
        }
        return nil
    }

    /// - Parameter seconds: how long the browser keeps it. 0 removes it.
    static func set(_ name: String, _ value: String, seconds: Int64) -> String {
        "\(name)=\(value); Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=\(seconds)"
    }
}

extension Response {
    func with(cookie: String) -> Response {
        var response = self
        response.headers.append(HTTPField(name: .setCookie, value: cookie))
        return response
    }
}
