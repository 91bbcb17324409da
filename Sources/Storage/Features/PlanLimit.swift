/// A limit that a plan can set. Each feature declares its own (``StorageFeature/limits``).
public struct PlanLimit: Sendable, Hashable {
    /// The name in the API, the configuration and tokens: `maxShares`.
    public let rawValue: String
    /// The name on a page.
    public let title: String
    /// Whether the limited feature is available. If not, pages do not show the limit.
    public let isOffered: Bool
    /// Each plan's default value. A plan that is absent has no limit.
    let defaults: [Plan: Int]

    init(_ rawValue: String, _ title: String, _ defaults: [Plan: Int], isOffered: Bool = true) {
        self.isOffered = isOffered
        self.rawValue = rawValue
        self.title = title
        self.defaults = defaults
    }

    /// - Returns: nil for a word that no feature declares.
    public init?(rawValue: String) {
        guard let known = Self.byWord[rawValue] else { return nil }
        self = known
    }

    /// The limits of all features, in the features' order.
    public static let allCases = StorageFeature.all.flatMap(\.limits)

    private static let byWord = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    public static func == (left: PlanLimit, right: PlanLimit) -> Bool { left.rawValue == right.rawValue }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
}

/// A plan's values. A limit that is absent does not apply.
public struct PlanLimits: Sendable, Equatable {
    private var values: [PlanLimit: Int]

    init(_ values: [PlanLimit: Int]) { self.values = values }

    /// Parses the API's form, in which -1 means no limit.
    public init(named: [String: Int]) {
        values = [:]
        for (name, value) in named where value >= 0 {
            if let limit = PlanLimit(rawValue: name) { values[limit] = value }
        }
    }

    public static let unlimited = PlanLimits([:])

    /// Nil for no limit.
    public subscript(limit: PlanLimit) -> Int? { values[limit] }

    /// The API's form: every limit, -1 for none.
    public var named: [String: Int] {
        Dictionary(uniqueKeysWithValues: PlanLimit.allCases.map { ($0.rawValue, values[$0] ?? -1) })
    }

    /// The stricter value for each limit.
    func stricter(_ other: PlanLimits) -> PlanLimits { PlanLimits(values.merging(other.values) { min($0, $1) }) }

    mutating func set(_ limit: PlanLimit, to value: Int?) { values[limit] = value }
}
