import FoundationEssentials
import HTTP1
import Model
import NIOCore
import Wire

/// The responses that the edge sends itself. Each has a stable code, which docs/tunnel-errors.md explains.
struct EdgeAnswer {
    let status: Int
    /// `POSTERN-…`
    let code: String
    let title: String
    let message: String
    /// Additional header lines, each with its line ending.
    var headers = ""
    var limit: Int?
    var plan: String?

    init(_ status: Int, _ code: String, _ title: String, _ message: String) {
        self.status = status
        self.code = "POSTERN-\(code)"
        self.title = title
        self.message = message
    }

    static func badRequest(_ error: HTTPMessageError) -> EdgeAnswer {
        switch error.code {
        case .headTooLarge: EdgeAnswer(431, "HEAD-TOO-LARGE", "The request's head is too large", sentence(error))
        case .version: EdgeAnswer(505, "VERSION", "This version of HTTP is not supported", sentence(error))
        case .coding: EdgeAnswer(501, "CODING", "This transfer coding is not supported", sentence(error))
        case .malformed: EdgeAnswer(400, "BAD-REQUEST", "The request cannot be forwarded", sentence(error))
        }
    }

    private static func sentence(_ error: HTTPMessageError) -> String {
        "\(error.message.prefix(1).uppercased())\(error.message.dropFirst())."
    }

    static let badHost = EdgeAnswer(
        400, "BAD-HOST", "The request has no valid host", "Host is missing or is not a host name.")
    static let method = EdgeAnswer(
        405, "METHOD", "This method is not forwarded", "CONNECT and TRACE are not for services behind a tunnel.")
    static let misdirected = EdgeAnswer(
        421, "MISDIRECTED", "This connection is for another host",
        "Open a new connection for this host name.")
    static let unknown = EdgeAnswer(
        404, "NO-TUNNEL", "There is no such tunnel",
        "No tunnel has this name. Check the address, or ask the person who gave it to you.")
    static let path = EdgeAnswer(
        404, "PATH", "This path is not part of the tunnel",
        "The tunnel's owner has opened only another part of the service."
    )
    static let paused = EdgeAnswer(
        503, "PAUSED", "This tunnel is paused", "Its owner, or the owner of this server, has paused it.")
    static let refused = EdgeAnswer(
        502, "REFUSED", "The service does not respond",
        "The machine is connected, but nothing listens on the port that the tunnel forwards to. Is the service running?"
    )
    static let broken = EdgeAnswer(
        502, "BROKEN", "The service closed the connection",
        "The service closed the connection before it responded.")
    static let badAnswer = EdgeAnswer(
        502, "BAD-ANSWER", "The service's response cannot be forwarded", "What the service sent is not valid HTTP/1.1.")
    static let busy = EdgeAnswer(
        503, "BUSY", "The tunnel is overloaded", "Too many connections at once; try again in a moment.")
    static let ended = EdgeAnswer(
        503, "OFFLINE", "The machine behind this tunnel is offline", "The tunnel was closed while it was in use.")
    static let late = EdgeAnswer(
        504, "TIMEOUT", "The service timed out", "The service did not respond in time.")
    static let slow = EdgeAnswer(408, "SLOW", "The request took too long", "The request did not arrive in time.")
    static let address = EdgeAnswer(
        403, "ADDRESS", "Your address is not allowed to use this tunnel",
        "The tunnel's owner allows only other networks.")

    static var password: EdgeAnswer {
        var answer = EdgeAnswer(
            401, "PASSWORD", "This tunnel requires a password",
            "Send the name and the password that its owner gave you.")
        answer.headers = "WWW-Authenticate: Basic realm=\"tunnel\", charset=\"UTF-8\"\r\n"
        return answer
    }

    static var token: EdgeAnswer {
        var answer = EdgeAnswer(
            401, "TOKEN", "This tunnel requires a token", "Send a valid token in Authorization: Bearer.")
        answer.headers = "WWW-Authenticate: Bearer\r\n"
        return answer
    }

    static let signIn = EdgeAnswer(
        401, "SIGN-IN", "This tunnel is private",
        "Only members of its organisation may use it. Open the address in a browser to sign in.")
    static let signInFailed = EdgeAnswer(
        400, "SIGN-IN-FAILED", "The sign-in was not completed",
        "The sign-in has expired, or was started in another browser. Open the address again.")
    static let noPublicURL = EdgeAnswer(
        503, "SIGN-IN-OFF", "Nobody can sign in here",
        "The owner of this server must set public-url, so that browsers find the sign-in page.")

    static func notInvited(_ username: String) -> EdgeAnswer {
        EdgeAnswer(
            403, "NOT-ALLOWED", "You may not use this tunnel",
            "You are signed in as \(username), and the tunnel's owner has not allowed this account.")
    }

    static let policy = EdgeAnswer(
        503, "POLICY", "The access policy cannot be applied",
        "The rules for this address cannot be read, so nobody is allowed. Ask the tunnel's owner to set them again.")

    static func rate(_ perMinute: Int, retryAfter seconds: Int) -> EdgeAnswer {
        limited(
            429, "RATE", "Too many requests",
            "At most \(perMinute) requests per minute are allowed. Try again in \(seconds) s.",
            seconds)
    }

    static func concurrency(_ limit: Int) -> EdgeAnswer {
        limited(
            503, "CONCURRENCY", "Too many requests at once",
            "The service takes at most \(limit) requests at the same time. Try again in a moment.", 1)
    }

    static func breaker(retryAfter seconds: Int) -> EdgeAnswer {
        limited(
            503, "BREAKER", "The service is failing",
            "The service has failed several times in a row. Try again in \(seconds) s.", seconds)
    }

    private static func limited(
        _ status: Int, _ code: String, _ title: String, _ message: String, _ seconds: Int
    ) -> EdgeAnswer {
        var answer = EdgeAnswer(status, code, title, message)
        answer.headers = "Retry-After: \(seconds)\r\n"
        return answer
    }

    /// - Parameter lastSeen: the time as text. Nil if no machine ever served the tunnel.
    static func offline(lastSeen: String?) -> EdgeAnswer {
        EdgeAnswer(
            503, "OFFLINE", "The machine behind this tunnel is offline",
            lastSeen.map { "It was last seen at \($0)." } ?? "It has never connected.")
    }

    static func tooMany(limit: Int, plan: String?) -> EdgeAnswer {
        var answer = EdgeAnswer(
            429, "CONNECTIONS", "Too many visitors at once",
            "Connection limit reached (\(limit)). Try again in a moment.")
        answer.limit = limit
        answer.plan = plan
        answer.headers = "Retry-After: 5\r\n"
        return answer
    }

    // MARK: Bytes

    private static let reasons: [Int: String] = [
        200: "OK", 303: "See Other", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
        405: "Method Not Allowed", 408: "Request Timeout", 421: "Misdirected Request", 429: "Too Many Requests",
        431: "Request Header Fields Too Large", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
        504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    ]

    /// The complete response: HTML for browsers, JSON for programs.
    func bytes(to head: RequestHead?, configuration: TunnelConfiguration, closes: Bool) -> ByteBuffer {
        let wantsHTML = head?.block[.accept]?.lowercased().contains("text/html") ?? false
        let body = wantsHTML ? html(configuration) : json(head?.host)
        return Self.message(
            status, type: wantsHTML ? "text/html; charset=utf-8" : "application/json", body: body, headers: headers,
            isHead: head?.method == "HEAD", closes: closes)
    }

    static func message(
        _ status: Int, type: String, body: ByteBuffer, headers: String, isHead: Bool, closes: Bool
    ) -> ByteBuffer {
        var out = ByteBuffer()
        out.writeString("HTTP/1.1 \(status) \(reasons[status] ?? "")\r\n")
        out.writeString("Content-Type: \(type)\r\nContent-Length: \(body.readableBytes)\r\n")
        out.writeStaticString(
            """
            Cache-Control: no-store\r
            Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'\r
            X-Content-Type-Options: nosniff\r
            Referrer-Policy: no-referrer\r

            """)
        out.writeString(headers)
        if closes { out.writeStaticString("Connection: close\r\n") }
        out.writeStaticString("\r\n")
        if !isHead { out.writeImmutableBuffer(body) }
        return out
    }

    private func json(_ host: String?) -> ByteBuffer {
        var resource = ErrorResource(statusCode: status, message: message, code: code)
        resource.limit = limit
        resource.plan = plan
        return JSONText.encode(resource)
    }

    private func html(_ configuration: TunnelConfiguration) -> ByteBuffer {
        EdgePage.html(
            title: title,
            """
            <p class="code">\(code)</p>
            <h1>\(title)</h1>
            <p>\(message)</p>
            <footer><a href="/.well-known/postern-abuse">Report this address</a></footer>
            """)
    }
}
