/// The reason why no certificate was issued: the authority's own text if it sent one (RFC 8555, section 6.7).
public struct ACMEError: Error, Sendable, CustomStringConvertible {
    /// `badNonce`, `rateLimited`, …. `unreachable` and `unexpected` are our own types.
    public let type: String
    public let detail: String
    /// The number of seconds after which the authority will answer again, if it named one.
    public var retryAfter: Int?

    init(_ type: String, _ detail: String, retryAfter: Int? = nil) {
        self.type = type
        self.detail = detail
        self.retryAfter = retryAfter
    }

    public var description: String { "\(type): \(detail)\(remedy.map { ". \($0)" } ?? "")" }

    /// What the server's or the domain's owner can do (the types of RFC 8555, section 6.7).
    private var remedy: String? {
        switch type {
        case "connection": "Open port 80 of this server to the authority, or port 443 for tls-alpn-01"
        case "dns": "Check the name's A, AAAA and CNAME records"
        case "caa": "Add the authority to the name's CAA records"
        case "unauthorized", "incorrectResponse": "Point the name at this server: another one has answered"
        case "rateLimited": "The order is repeated by itself; until then nothing has to be done"
        default: nil
        }
    }
}

/// `application/problem+json` (RFC 7807) as ACME uses it.
struct ACMEProblem: Decodable, Sendable {
    let type: String?
    let detail: String?
    let subproblems: [ACMEProblem]?

    var sentence: String {
        let parts = (subproblems ?? []).compactMap(\.detail)
        let all = [detail ?? "no reason given"] + parts
        return all.joined(separator: "; ")
    }

    /// The type without its `urn:ietf:params:acme:error:` prefix.
    var word: String { type?.split(separator: ":").last.map(String.init) ?? "unexpected" }
}
