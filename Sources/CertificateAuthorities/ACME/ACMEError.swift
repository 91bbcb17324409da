/// Why a certificate did not come: the authority's own words where it gave any (RFC 8555, section 6.7).
public struct ACMEError: Error, Sendable, CustomStringConvertible {
    /// `badNonce`, `rateLimited`, …; `unreachable` and `unexpected` are ours.
    public let type: String
    public let detail: String
    /// Seconds after which the authority will answer again, where it said so.
    public var retryAfter: Int?

    init(_ type: String, _ detail: String, retryAfter: Int? = nil) {
        self.type = type
        self.detail = detail
        self.retryAfter = retryAfter
    }

    public var description: String { "\(type): \(detail)" }
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

    /// Without the `urn:ietf:params:acme:error:` in front.
    var word: String { type?.split(separator: ":").last.map(String.init) ?? "unexpected" }
}
