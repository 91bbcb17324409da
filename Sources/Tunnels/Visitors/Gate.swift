import HTTP1
import Limits
import Model
import NIOCore
import Telemetry

/// The checks between a request and its tunnel. They apply to every request, not only to the first of a connection.
enum Gate {
    /// - Returns: nil if the request may continue.
    static func refusal(of head: RequestHead, from client: ClientAddress, by tunnel: LiveTunnel) -> EdgeAnswer? {
        guard tunnel.rules.admits(client) else {
            tunnel.metrics.addressesRefused.add()
            return .address
        }
        let isWarning = tunnel.grant.warns && isContinue(head)
        guard isWarning || tunnel.rules.covers(head.target) else { return .path }
        if tunnel.rules.wantsPassword, !tunnel.rules.accepts(head.block[.authorization]) {
            tunnel.metrics.passwordsRefused.add()
            return .password
        }
        return nil
    }

    /// The page that a browser shows once, before the pages of an owner whom nobody has vouched for.
    static func warning(for head: RequestHead, by tunnel: LiveTunnel) -> ByteBuffer? {
        guard tunnel.grant.warns, let host = head.host else { return nil }
        if isContinue(head) { return accepted(head) }
        // Another page can send a form here: every navigation is warned about, whatever its method.
        let isPage = (head.block[.accept]?.lowercased().contains("text/html") ?? false)
        let cookies = head.block.values(.cookie).joined(separator: ";").split(separator: ";").map {
            $0.trimmingSpaces()
        }
        guard isPage, !cookies.contains("\(EdgeCookie.seen)=1") else { return nil }
        return EdgeAnswer.message(
            200, type: "text/html; charset=utf-8", body: EdgePage.warning(host: host, target: head.target), headers: "",
            isHead: false, closes: !head.keepsAlive)
    }

    /// Only the warning's own button is accepted: no other page can press it for the visitor.
    private static func isContinue(_ head: RequestHead) -> Bool {
        head.method == "POST" && head.target.hasPrefix(EdgePage.continuePath)
            && head.block[.secFetchSite]?.lowercased() == "same-origin"
    }

    /// The button was pressed: the browser returns to the page it asked for, on this host only.
    private static func accepted(_ head: RequestHead) -> ByteBuffer {
        let asked = head.target.split(separator: "?to=", maxSplits: 1).dropFirst().first.map(String.init)
        let decoded = asked.flatMap { PercentEncoding.decoded($0) } ?? "/"
        let isPath =
            decoded.hasPrefix("/") && !decoded.hasPrefix("//")
            && decoded.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }
        let page = isPath ? decoded : "/"
        return EdgeAnswer.message(
            303, type: "text/plain", body: ByteBuffer(string: "Continue.\n"),
            headers:
                "Location: \(page)\r\nSet-Cookie: \(EdgeCookie.seen)=1; Secure; HttpOnly; SameSite=Lax; Path=/\r\n",
            isHead: false, closes: true)
    }
}
