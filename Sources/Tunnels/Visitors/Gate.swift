import HTTP1
import Limits
import Model
import NIOCore
import Telemetry

/// The checks between a request and its tunnel. They apply to every request, not only to the first of a connection.
enum Gate {
    enum Decision {
        /// The request may continue. The member has signed in, if any.
        case allowed(EdgeMember?)
        case answer(EdgeAnswer)
        /// A page or a redirect of the edge.
        case page(ByteBuffer)
        /// A token has to be verified first.
        case undecided(token: String, PolicyGate)
    }

    /// Applies all policies to a request: addresses, path, rate limits, and then the sign-in. Every policy must allow it.
    /// - Parameters:
    ///   - client: the visitor's address.
    ///   - gates: the policies that apply.
    ///   - members: the sign-ins of members.
    ///   - publicURL: the server's own address.
    ///   - isSecond: the request was counted already, and waited for its token.
    ///   - closes: whether the connection ends after an answer of the edge.
    static func decide(
        _ head: RequestHead, from client: ClientAddress, by tunnel: LiveTunnel, _ gates: [PolicyGate],
        members: MemberSessions, publicURL: String?, isSecond: Bool, closes: Bool
    ) -> Decision {
        for gate in gates where !gate.rules.admits(client) {
            guard !gate.rules.isClosed else { return .answer(.policy) }
            tunnel.metrics.addressesRefused.add()
            return .answer(.address)
        }
        if MemberGate.isCallback(head), gates.contains(where: { $0.rules.members != nil }) {
            return answered(MemberGate.callback(head, closes: closes, redeem: members.redeem))
        }
        let isWarning = tunnel.grant.warns && isContinue(head)
        guard isWarning || gates.allSatisfy({ $0.rules.covers(head.target) }) else { return .answer(.path) }
        if !isSecond {
            let now = NIODeadline.now()
            for gate in gates {
                if let refusal = gate.limit(head, from: client, now: now) { return .answer(refusal) }
            }
        }
        var member: EdgeMember?
        for gate in gates where gate.rules.needsSignIn {
            let session = gate.rules.members == nil ? nil : members.member(head)
            switch gate.signIn(head, member: session, organisation: tunnel.grant.organisationId, now: .now()) {
            case .done(let found): member = member ?? found
            case .refused(let answer):
                tunnel.metrics.passwordsRefused.add()
                return .answer(answer)
            case .member:
                return answered(MemberGate.ask(head, publicURL: publicURL, closes: closes))
            case .undecided(let token): return .undecided(token: token, gate)
            }
        }
        return .allowed(member)
    }

    private static func answered(_ result: Result<ByteBuffer, EdgeRefusal>) -> Decision {
        switch result {
        case .success(let bytes): .page(bytes)
        case .failure(let refusal): .answer(refusal.answer)
        }
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
