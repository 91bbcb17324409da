import Client
import Files
import Model
import Wire

/// Reads the settings of one tunnel. For each mistake it reports the line and the remedy.
struct TunnelReader {
    private static let known = [
        "http", "directory", "tcp", "tls", "name", "port", "basic-auth", "basic-auth-file", "allow", "deny",
        "host-header", "path", "keepalive", "timeout", "list", "proxy-protocol", "upstream-ca", "upstream-insecure",
        "verify",
        "private", "members", "bearer-keys", "bearer-issuer", "bearer-audience", "rate-limit", "rate-by",
        "max-requests",
        "breaker", "request-headers", "remove-request-headers", "response-headers", "remove-response-headers",
    ]
    /// The kinds of tunnel that each key applies to.
    private static let kinds: [String: Set<String>] = [
        "name": ["http", "directory", "tls"], "port": ["tcp"], "basic-auth": ["http", "directory"],
        "basic-auth-file": ["http", "directory"], "host-header": ["http"], "path": ["http", "directory"],
        "keepalive": ["http"], "timeout": ["http"], "list": ["directory"], "proxy-protocol": ["tcp", "tls"],
        "upstream-ca": ["http"], "upstream-insecure": ["http"], "verify": ["http"],
    ].merging(
        [
            "private", "members", "bearer-keys", "bearer-issuer", "bearer-audience", "rate-limit", "rate-by",
            "max-requests", "breaker", "request-headers", "remove-request-headers", "response-headers",
            "remove-response-headers",
        ].map { ($0, ["http", "directory"]) }
    ) { $1 }
    /// Maximum size of a file with passwords, in bytes.
    private static let fileLimit = 64 << 10

    let label: String
    let line: Int
    private(set) var problems: [String] = []
    private var values: [String: YAMLNode] = [:]

    init(label: String, line: Int) {
        self.label = label
        self.line = line
    }

    private mutating func report(_ line: Int, _ text: String) { problems.append("line \(line): \(label): \(text)") }

    /// - Returns: nil if there are ``problems``.
    mutating func read(_ node: YAMLNode) -> AgentTunnel? {
        guard
            (1...63).contains(label.utf8.count),
            label.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            })
        else {
            report(line, "a label must be 1 to 63 letters, digits, dots, hyphens and underscores")
            return nil
        }
        guard case .mapping(let entries, _) = node else {
            report(line, "a tunnel needs http, directory, tcp or tls, as in 'http: 3000'")
            return nil
        }
        for entry in entries {
            if Self.known.contains(entry.key) {
                values[entry.key] = entry.value
            } else {
                let near = Self.known.min { distance($0, entry.key) < distance($1, entry.key) } ?? ""
                let hint = distance(near, entry.key) <= 3 ? "; did you mean '\(near)'?" : ""
                report(entry.line, "unknown key '\(entry.key)'\(hint)")
            }
        }
        let ways = ["http", "directory", "tcp", "tls"].filter { values[$0] != nil }
        guard let way = ways.first, ways.count == 1 else {
            report(line, "a tunnel needs one of http, directory, tcp and tls\(ways.isEmpty ? "" : ", and has several")")
            return nil
        }
        for (key, allowed) in Self.kinds.sorted(by: { $0.key < $1.key }) {
            if let value = values[key], !allowed.contains(way) {
                report(value.line, "'\(key)' goes with \(allowed.sorted().joined(separator: " and ")), not with \(way)")
            }
        }
        let tunnel = tunnel(way)
        return problems.isEmpty ? tunnel : nil
    }

    private mutating func tunnel(_ way: String) -> AgentTunnel {
        let target = text(way) ?? ""
        let isDirectory = way == "directory"
        if !isDirectory, ServiceAddress(target) == nil {
            report(values[way]?.line ?? line, "'\(target)' is not a port or an address; use 3000 or 127.0.0.1:3000")
        }
        if isDirectory, !target.hasPrefix("/") {
            report(values[way]?.line ?? line, "a directory must be an absolute path, as in /srv/site")
        }
        var options = TunnelOptions()
        let policy = policy()
        options.policy = policy.isEmpty ? nil : policy
        options.hostHeader = text("host-header")
        options.path = text("path")
        if way == "http" {
            options.keepAlive = number("keepalive", 0...300) ?? 4
            options.headTimeout = number("timeout", 1...3600) ?? 30
        }
        let verify = text("verify")
        if let verify {
            do { _ = try AgentTunnel.signature(verify) } catch {
                report(values["verify"]?.line ?? line, "'verify': \(error)")
            }
        }
        return AgentTunnel(
            label: label, kind: isDirectory ? .http : TunnelKind(rawValue: way) ?? .http, name: text("name"),
            port: number("port", 1...65535), target: target, isDirectory: isDirectory, lists: flag("list"),
            proxyProtocol: flag("proxy-protocol"), upstreamCA: text("upstream-ca"),
            upstreamInsecure: flag("upstream-insecure"), options: options, verify: verify)
    }

    private mutating func policy() -> AccessPolicy {
        var policy = AccessPolicy()
        policy.allow = list("allow")
        policy.deny = list("deny")
        policy.basicAuth = passwords()
        if flag("private") { policy.members = [] }
        if let members = list("members") { policy.members = members }
        policy.bearer = bearer()
        let header = text("rate-by")
        if let limit = number("rate-limit", 1...1_000_000) {
            policy.rate = RatePolicy(perMinute: limit, header: header)
        } else if header != nil {
            report(values["rate-by"]?.line ?? line, "'rate-by' needs 'rate-limit'")
        }
        policy.concurrency = number("max-requests", 1...100_000)
        if let given = text("breaker") {
            do throws(PolicyText.Problem) { policy.breaker = try PolicyText.breaker(given) } catch {
                report(values["breaker"]?.line ?? line, "'breaker' \(error.message)")
            }
        }
        policy.requestHeaders = edits("request-headers", "remove-request-headers")
        policy.responseHeaders = edits("response-headers", "remove-response-headers")
        return policy
    }

    private mutating func edits(_ set: String, _ remove: String) -> HeaderEdits? {
        do throws(PolicyText.Problem) {
            return try PolicyText.edits(set: list(set) ?? [], remove: list(remove) ?? [])
        } catch {
            report(values[set]?.line ?? line, "'\(set)' \(error.message)")
            return nil
        }
    }

    private mutating func bearer() -> BearerPolicy? {
        let (issuer, audience) = (text("bearer-issuer"), text("bearer-audience"))
        guard let path = text("bearer-keys") else {
            if issuer != nil || audience != nil {
                report(line, "'bearer-issuer' and 'bearer-audience' need 'bearer-keys'")
            }
            return nil
        }
        do {
            let keys = String(decoding: try WholeFile.read(path, limit: Self.fileLimit), as: UTF8.self)
            return BearerPolicy(issuer: issuer, audience: audience, keys: keys)
        } catch {
            report(values["bearer-keys"]?.line ?? line, "\(path): \(error.message)")
            return nil
        }
    }

    // MARK: Values

    private mutating func text(_ key: String) -> String? {
        switch values[key] {
        case nil: return nil
        case .text(let text, let line):
            guard !text.isEmpty else {
                report(line, "'\(key)' is empty")
                return nil
            }
            return text
        case .list(_, let line), .mapping(_, let line):
            report(line, "'\(key)' must be one value")
            return nil
        }
    }

    private mutating func number(_ key: String, _ range: ClosedRange<Int>) -> Int? {
        guard let text = text(key) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            report(
                values[key]?.line ?? line, "'\(key)' must be \(range.lowerBound) to \(range.upperBound), not '\(text)'")
            return nil
        }
        return number
    }

    private mutating func flag(_ key: String) -> Bool {
        guard let text = text(key) else { return false }
        switch text {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default:
            report(values[key]?.line ?? line, "'\(key)' must be true or false, not '\(text)'")
            return false
        }
    }

    private mutating func list(_ key: String) -> [String]? {
        switch values[key] {
        case nil: return nil
        case .text(let text, let line):
            if text.isEmpty { report(line, "'\(key)' is empty") }
            return [text]
        case .mapping(_, let line):
            report(line, "'\(key)' must be a list")
            return nil
        case .list(let items, let line):
            let texts = items.compactMap { if case .text(let text, _) = $0, !text.isEmpty { text } else { nil } }
            // An empty list must not allow what it was meant to forbid.
            if texts.isEmpty || texts.count != items.count {
                report(line, "'\(key)' must be a list of texts, and not empty")
            }
            return texts
        }
    }

    private mutating func passwords() -> [String]? {
        var pairs = list("basic-auth")
        let form = "an entry must be NAME:PASSWORD, with a password of at least 8 characters"
        if let pairs, !pairs.allSatisfy(Self.isPair) {
            report(values["basic-auth"]?.line ?? line, "'basic-auth': \(form)")
        }
        guard let path = text("basic-auth-file") else { return pairs }
        let place = values["basic-auth-file"]?.line ?? line
        do {
            let lines = String(decoding: try WholeFile.read(path, limit: Self.fileLimit), as: UTF8.self)
                .split(separator: "\n").map { $0.filter { $0 != "\r" } }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
            if lines.isEmpty { report(place, "\(path) contains no NAME:PASSWORD") }
            if !lines.allSatisfy(Self.isPair) { report(place, "\(path): \(form)") }
            pairs = (pairs ?? []) + lines
        } catch { report(place, "\(path): \(error.message)") }
        return pairs
    }

    private static func isPair(_ text: String) -> Bool {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[1].count >= 8
    }

    /// The edit distance between two words.
    private func distance(_ one: String, _ other: String) -> Int {
        let (a, b) = (Array(one), Array(other))
        var row = Array(0...b.count)
        for (i, left) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, right) in b.enumerated() {
                let next = min(row[j] + 1, row[j + 1] + 1, diagonal + (left == right ? 0 : 1))
                (diagonal, row[j + 1]) = (row[j + 1], next)
            }
        }
        return row[b.count]
    }
}
