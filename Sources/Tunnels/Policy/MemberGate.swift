import HTTP1
import Model
import NIOCore

/// The sign-in of members on a private tunnel's host.
///
/// A browser without a session is sent to the server's own pages (`/authorize`), with a state that a cookie of this host
/// binds to the browser. It comes back with a code to ``callbackPath``, and gets a session for this host only.
enum MemberGate {
    static let callbackPath = "/.well-known/postern-callback"
    /// How long a browser may take to sign in, in seconds.
    private static let seconds = 600
    /// The maximum length of the path to return to, in bytes. A longer one returns to the start page.
    private static let pathBytes = 1024

    /// The value of one of our cookies.
    static func cookie(_ name: String, in head: RequestHead) -> String? {
        guard head.block.has(.cookie) else { return nil }
        for field in head.block.values(.cookie) {
            for part in field.split(separator: ";") {
                let pair = part.trimmingSpaces().split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if pair.count == 2, pair[0] == name { return String(pair[1]) }
            }
        }
        return nil
    }

    /// Whether a browser opens the address itself. Scripts, forms and WebSockets get an error that they can handle.
    private static func isNavigation(_ head: RequestHead) -> Bool {
        guard head.method == "GET" || head.method == "HEAD" else { return false }
        if let mode = head.fields.first(where: { head.block.isNamed($0, "sec-fetch-mode") }) {
            return head.block.value(mode) == "navigate"
        }
        return head.block[.accept]?.lowercased().contains("text/html") ?? false
    }

    /// The answer to a visitor who has not signed in.
    /// - Parameter publicURL: the server's own address; nil if it is not known.
    static func ask(_ head: RequestHead, publicURL: String?, closes: Bool) -> Result<ByteBuffer, EdgeRefusal> {
        guard let host = head.host, isNavigation(head) else { return .failure(EdgeRefusal(.signIn)) }
        guard let publicURL else { return .failure(EdgeRefusal(.noPublicURL)) }
        // A second tab keeps the state of the first one: both sign-ins can be completed.
        let known = cookie(EdgeCookie.pending, in: head)?.split(separator: ".").first.map(String.init)
        let state = known.flatMap { isState($0) ? $0 : nil } ?? RandomText.makeReadable(letters: 32)
        let path = isPath(head.target) ? head.target : "/"
        let address = "\(publicURL)/authorize?host=\(PercentEncoding.encoded(host))&state=\(state)"
        return .success(
            redirect(
                to: address, head, closes: closes,
                cookies: [
                    "\(EdgeCookie.pending)=\(state).\(PercentEncoding.encoded(path)); Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=\(seconds)"
                ]))
    }

    /// Exchanges a code for a session.
    /// - Parameter redeem: by code, host and state; returns the session's token.
    static func callback(
        _ head: RequestHead, closes: Bool, redeem: (String, String, String) -> String?
    ) -> Result<ByteBuffer, EdgeRefusal> {
        guard head.method == "GET", let host = head.host else { return .failure(EdgeRefusal(.method)) }
        let query = head.target.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        var values: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        let pending = cookie(EdgeCookie.pending, in: head)?.split(separator: ".", maxSplits: 1).map(String.init)
        guard let code = values["code"], let state = values["state"], let pending, pending.count == 2,
            isState(pending[0]), pending[0] == state, let token = redeem(code, host, state)
        else { return .failure(EdgeRefusal(.signInFailed)) }
        let path = PercentEncoding.decoded(pending[1]) ?? "/"
        return .success(
            redirect(
                to: isPath(path) ? path : "/", head, closes: closes,
                cookies: [
                    "\(EdgeCookie.member)=\(token); Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=\(MemberTable.sessionSeconds)",
                    "\(EdgeCookie.pending)=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0",
                ]))
    }

    static func isCallback(_ head: RequestHead) -> Bool {
        head.target == callbackPath || head.target.hasPrefix("\(callbackPath)?")
    }

    private static func isState(_ text: String) -> Bool {
        (16...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0)
            }
    }

    /// A path of this host, and of no other: `//host` and `/\host` lead elsewhere.
    static func isPath(_ text: String) -> Bool {
        text.utf8.count <= pathBytes && text.hasPrefix("/") && !text.hasPrefix("//")
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }
    }

    private static func redirect(
        to address: String, _ head: RequestHead, closes: Bool, cookies: [String]
    ) -> ByteBuffer {
        let lines = cookies.map { "Set-Cookie: \($0)\r\n" }.joined()
        return EdgeAnswer.message(
            303, type: "text/plain", body: ByteBuffer(string: "See \(address)\n"),
            headers: "Location: \(address)\r\n\(lines)", isHead: head.method == "HEAD", closes: closes)
    }
}

/// An answer of the edge as an error.
struct EdgeRefusal: Error {
    let answer: EdgeAnswer
    init(_ answer: EdgeAnswer) { self.answer = answer }
}
