/// What an organisation may use. What each plan allows stands in the ``PlanCatalogue``.
public enum Plan: String, Sendable, CaseIterable, Comparable {
    case free, pro, team, enterprise
    /// No limits: the appliance's own people.
    case admin

    /// In the order of what they allow.
    public static func < (left: Plan, right: Plan) -> Bool {
        let all = allCases
        return (all.firstIndex(of: left) ?? 0) < (all.firstIndex(of: right) ?? 0)
    }

    /// As a sentence names it: "Upgrade to Pro".
    public var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
}

/// What a plan can limit. The raw values are the API's, the configuration's and the tokens' names for them.
public enum PlanLimit: String, Sendable, CaseIterable {
    /// Share sessions at once per person.
    case shares = "maxShares"
    /// Live codes per share session.
    case codes = "maxCodes"
    /// A code's longest life, in minutes.
    case codeMinutes = "maxCodeMinutes"
    /// Guests at once per share session.
    case viewers = "maxViewers"
    /// Enrolled machines connected at once.
    case hosts = "maxHosts"
    /// Interactive sessions at once on those machines.
    case sessions = "maxSessions"
    /// An interactive session's longest life, in minutes: share sessions are such; a machine's own connection is not.
    case sessionMinutes = "sessionTimeoutMinutes"
    case tunnels = "maxTunnels"
    case connections = "maxConnections"
    case retentionHours
    /// 0 or no limit: whether custom domains may be used at all.
    case customDomains
    case ipAllowlist
}

/// A plan's numbers; a limit that is absent does not bind.
public struct PlanLimits: Sendable, Equatable {
    private var values: [PlanLimit: Int]

    init(_ values: [PlanLimit: Int]) { self.values = values }

    /// From the API's form, where -1 means no limit.
    public init(named: [String: Int]) {
        values = [:]
        for (name, value) in named where value >= 0 {
            if let limit = PlanLimit(rawValue: name) { values[limit] = value }
        }
    }

    public static let unlimited = PlanLimits([:])

    /// Nil: no limit.
    public subscript(limit: PlanLimit) -> Int? { values[limit] }

    /// The API's form: every limit, -1 for none.
    public var named: [String: Int] {
        Dictionary(uniqueKeysWithValues: PlanLimit.allCases.map { ($0.rawValue, values[$0] ?? -1) })
    }

    /// The stricter of two in each limit.
    func stricter(_ other: PlanLimits) -> PlanLimits { PlanLimits(values.merging(other.values) { min($0, $1) }) }

    mutating func set(_ limit: PlanLimit, to value: Int?) { values[limit] = value }
}
