import Crypto
import FoundationEssentials
import HTTP1
import Limits
import Wire

/// Decides who may use a tunnel, for every request and every connection. It fails closed: options that cannot be parsed
/// are refused when the tunnel starts.
struct AccessRules: Sendable {
    private let allow: [AddressRange]?
    private let deny: [AddressRange]
    /// SHA-256 of each `NAME:PASSWORD`.
    private let passwords: [[UInt8]]
    private let path: String?
    /// The members who are allowed, by user name; empty allows all. Nil if members need no sign-in.
    let members: Set<String>?
    let bearer: BearerRules?
    let rate: RatePolicy?
    let concurrency: Int?
    let breaker: BreakerPolicy?
    let requestHeaders, responseHeaders: HeaderRules?
    /// Nobody is allowed.
    let isClosed: Bool

    /// The reason why options cannot be used, as a sentence.
    struct Problem: Error { let message: String }

    /// The maximum number of entries in one list.
    private static let listLimit = 1000
    static let onlyForHTTP =
        "A tcp or tls tunnel passes bytes on unread: only allow and deny can be set for it. Use an http tunnel for more."

    /// Used in place of rules that cannot be read.
    static let closed = AccessRules()

    private init() {
        (allow, deny, passwords, path, members, bearer) = ([], [], [], nil, nil, nil)
        (rate, concurrency, breaker, requestHeaders, responseHeaders) = (nil, nil, nil, nil, nil)
        isClosed = true
    }

    init(_ options: TunnelOptions) throws(Problem) {
        try self.init(options.policy ?? AccessPolicy(), path: options.path)
    }

    /// - Parameter path: only this path and paths below it are allowed.
    init(_ policy: AccessPolicy, path: String? = nil) throws(Problem) {
        allow = try policy.allow.map { list throws(Problem) in try Self.ranges(list, "allow") }
        deny = try Self.ranges(policy.deny ?? [], "deny")
        passwords = try Self.digests(policy.basicAuth)
        if let members = policy.members {
            guard members.count <= Self.listLimit, members.allSatisfy({ (1...64).contains($0.utf8.count) }) else {
                throw Problem(message: "members must be a list of at most \(Self.listLimit) user names.")
            }
        }
        members = policy.members.map { Set($0.map { $0.lowercased() }) }
        bearer = try policy.bearer.map { given throws(Problem) in try BearerRules(given) }
        if let rate = policy.rate {
            guard (1...1_000_000).contains(rate.perMinute),
                rate.header.map({ (1...128).contains($0.utf8.count) }) ?? true
            else { throw Problem(message: "The rate must be 1 to 1,000,000 requests per minute.") }
        }
        rate = policy.rate.map { RatePolicy(perMinute: $0.perMinute, header: $0.header?.lowercased()) }
        if let limit = policy.concurrency, !(1...100_000).contains(limit) {
            throw Problem(message: "concurrency must be 1 to 100,000 requests.")
        }
        concurrency = policy.concurrency
        if let breaker = policy.breaker {
            guard (1...1000).contains(breaker.failures), (1...3600).contains(breaker.seconds) else {
                throw Problem(message: "The breaker needs 1 to 1,000 failures and 1 to 3,600 seconds.")
            }
        }
        breaker = policy.breaker
        requestHeaders = try policy.requestHeaders.map { edits throws(Problem) in try HeaderRules(edits) }
        responseHeaders = try policy.responseHeaders.map { edits throws(Problem) in try HeaderRules(edits) }
        isClosed = false
        if let path {
            guard path.hasPrefix("/"), path.utf8.count <= 1024, !path.contains("?"), !path.contains("#") else {
                throw Problem(message: "The path must begin with a slash and have no query.")
            }
            let trimmed = path.hasSuffix("/") ? String(path.dropLast()) : path
            self.path = trimmed.isEmpty ? nil : trimmed
        } else {
            self.path = nil
        }
    }

    private static func digests(_ pairs: [String]?) throws(Problem) -> [[UInt8]] {
        guard let pairs else { return [] }
        guard !pairs.isEmpty else { throw Problem(message: "The list of basic-auth entries is empty.") }
        var digests: [[UInt8]] = []
        for pair in pairs {
            guard let colon = pair.firstIndex(of: ":"), colon != pair.startIndex, pair.utf8.count <= 512,
                pair[pair.index(after: colon)...].utf8.count >= 8
            else {
                throw Problem(
                    message: "A basic-auth entry must be NAME:PASSWORD, with a password of at least 8 characters.")
            }
            digests.append(Array(SHA256.hash(data: Data(pair.utf8))))
        }
        return digests
    }

    /// Whether a visitor has to sign in.
    var needsSignIn: Bool { wantsPassword || bearer != nil || members != nil }

    /// Whether the rules need requests, and not only connections.
    var needsRequests: Bool {
        needsSignIn || path != nil || rate != nil || concurrency != nil || breaker != nil || requestHeaders != nil
            || responseHeaders != nil
    }

    /// Whether requests are counted while they run.
    var countsRequests: Bool { concurrency != nil || breaker != nil }

    private static func ranges(_ list: [String], _ what: String) throws(Problem) -> [AddressRange] {
        guard list.count <= listLimit else {
            throw Problem(message: "The list \(what) has more than \(listLimit) entries.")
        }
        var ranges: [AddressRange] = []
        for text in list {
            guard let range = AddressRange(text) else {
                let quoted = text.prefix(64)
                throw Problem(message: "'\(quoted)' in \(what) is not an address or a network, as in 203.0.113.0/24.")
            }
            ranges.append(range)
        }
        return ranges
    }

    func admits(_ address: ClientAddress) -> Bool {
        if isClosed || deny.contains(where: { $0.contains(address) }) { return false }
        return allow?.contains { $0.contains(address) } ?? true
    }

    var wantsPassword: Bool { !passwords.isEmpty }

    /// - Parameter authorization: the header's value.
    func accepts(_ authorization: String?) -> Bool {
        guard let authorization, authorization.lowercased().hasPrefix("basic "),
            let decoded = Data(base64Encoded: String(authorization.dropFirst(6).trimmingSpaces()))
        else { return false }
        let digest = Array(SHA256.hash(data: decoded))
        // All entries are compared, each in constant time.
        return passwords.reduce(false) { found, known in
            zip(known, digest).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0 || found
        }
    }

    /// - Parameter target: the target as sent in the request.
    func covers(_ target: String) -> Bool {
        guard let path else { return true }
        // Compare bytes: a character that Swift combines with a question mark or a slash must not hide it.
        let asked = Array(target.utf8.prefix { $0 != UInt8(ascii: "?") })
        let allowed = Array(path.utf8)
        guard asked == allowed || asked.starts(with: allowed + [UInt8(ascii: "/")]) else { return false }
        return !Self.leads(upwards: asked)
    }

    /// Whether a service could read a part of the path as `.` or `..`: percent-encoded, with backslashes, or followed by parameters.
    private static func leads(upwards path: [UInt8]) -> Bool {
        let plain = decoded(path).map { $0 == UInt8(ascii: "\\") ? UInt8(ascii: "/") : $0 }
        return plain.split(separator: UInt8(ascii: "/")).contains { part in
            let name = Array(part.prefix { $0 != UInt8(ascii: ";") })
            return name == Array(".".utf8) || name == Array("..".utf8)
        }
    }

    private static func decoded(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let digits = index + 2 < bytes.count ? String(decoding: bytes[index + 1...index + 2], as: UTF8.self) : ""
            if bytes[index] == UInt8(ascii: "%"), let byte = UInt8(digits, radix: 16) {
                out.append(byte)
                index += 3
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return out
    }
}
