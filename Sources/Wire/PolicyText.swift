/// Reads parts of an access policy as people write them in options, in `agent.yml` and in forms.
public enum PolicyText {
    /// What is wrong with a text, as the end of a sentence that begins with its option.
    public struct Problem: Error, Sendable { public let message: String }

    /// `5/30`: after five failures in a row, requests are refused for 30 seconds.
    public static func breaker(_ text: String) throws(Problem) -> BreakerPolicy {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let failures = Int(parts[0]), (1...1000).contains(failures),
            let seconds = Int(parts[1]), (1...3600).contains(seconds)
        else { throw Problem(message: "must be FAILURES/SECONDS, as in 5/30, not '\(text.prefix(40))'") }
        return BreakerPolicy(failures: failures, seconds: seconds)
    }

    /// - Parameters:
    ///   - lines: each `Name: value`.
    ///   - removed: names.
    /// - Returns: nil if there is nothing to change.
    public static func edits(set lines: [String], remove removed: [String]) throws(Problem) -> HeaderEdits? {
        guard !lines.isEmpty || !removed.isEmpty else { return nil }
        var set: [String: String] = [:]
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[0].contains(" ") else {
                throw Problem(message: "must be 'Name: value', not '\(line.prefix(40))'")
            }
            set[String(parts[0])] = String(parts[1].drop { $0 == " " })
        }
        return HeaderEdits(set: set.isEmpty ? nil : set, remove: removed.isEmpty ? nil : removed)
    }

    /// `Name: value` for each field that is set.
    public static func lines(_ edits: HeaderEdits?) -> [String] {
        (edits?.set ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
    }

    /// A policy in words, without passwords.
    public static func words(_ policy: AccessPolicy, passwords: String? = nil) -> [String] {
        var words: [String] = []
        if let members = policy.members {
            words.append(members.isEmpty ? "members only" : "members \(members.joined(separator: " "))")
        }
        if let pairs = policy.basicAuth { words.append(passwords ?? "\(pairs.count) passwords") }
        if policy.bearer != nil { words.append("bearer tokens") }
        if let allow = policy.allow { words.append("allow \(allow.joined(separator: " "))") }
        if let deny = policy.deny { words.append("deny \(deny.joined(separator: " "))") }
        if let rate = policy.rate {
            words.append("\(rate.perMinute) requests a minute\(rate.header.map { " by \($0)" } ?? "")")
        }
        if let limit = policy.concurrency { words.append("\(limit) requests at once") }
        if let breaker = policy.breaker { words.append("breaker \(breaker.failures)/\(breaker.seconds)") }
        if policy.requestHeaders != nil { words.append("request headers changed") }
        if policy.responseHeaders != nil { words.append("response headers changed") }
        return words
    }
}
