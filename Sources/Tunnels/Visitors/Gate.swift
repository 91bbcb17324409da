import HTTP1
import Model
import NIOCore
import Telemetry

/// What stands between a request and its tunnel. Every request is asked, not only the first of a connection.
enum Gate {
    /// - Returns: nil where the request may go on.
    static func refusal(of head: RequestHead, from visitor: VisitorName, by tunnel: LiveTunnel) -> EdgeAnswer? {
        guard tunnel.rules.admits(visitor.client) else {
            tunnel.metrics.addressesRefused.add()
            return .address
        }
        guard tunnel.rules.covers(head.target) else { return .path }
        if tunnel.rules.wantsPassword, !tunnel.rules.accepts(head.block[.authorization]) {
            tunnel.metrics.passwordsRefused.add()
            return .password
        }
        return nil
    }

    /// What a browser shows once, before the pages of an owner whom nobody has vouched for.
    static func warning(for head: RequestHead, by tunnel: LiveTunnel) -> ByteBuffer? {
        guard tunnel.grant.warns, let host = head.host else { return nil }
        if head.method == "POST", head.target.hasPrefix(EdgePage.continuePath) { return accepted(head) }
        let isPage = head.method == "GET" && (head.block[.accept]?.lowercased().contains("text/html") ?? false)
        let cookies = head.block.values(.cookie).joined(separator: ";").split(separator: ";").map {
            $0.trimmingSpaces()
        }
        guard isPage, !cookies.contains("\(EdgeCookie.seen)=1") else { return nil }
        return EdgeAnswer.message(
            200, type: "text/html; charset=utf-8", body: EdgePage.warning(host: host, target: head.target), headers: "",
            isHead: false, closes: !head.keepsAlive)
    }

    /// The button was pressed: the browser goes back to the page that it asked for, on this host and on no other.
    private static func accepted(_ head: RequestHead) -> ByteBuffer {
        let asked = head.target.split(separator: "?to=", maxSplits: 1).dropFirst().first.map(String.init)
        let decoded = asked.flatMap { PercentEncoding.decoded($0) } ?? "/"
        let isPath =
            decoded.hasPrefix("/") && !decoded.hasPrefix("//")
            && decoded.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x5C }
        let page = isPath ? decoded : "/"
        return EdgeAnswer.message(
            303, type: "text/plain", body: ByteBuffer(string: "Go on.\n"),
            headers:
                "Location: \(page)\r\nSet-Cookie: \(EdgeCookie.seen)=1; Secure; HttpOnly; SameSite=Lax; Path=/\r\n",
            isHead: false, closes: true)
    }
}
