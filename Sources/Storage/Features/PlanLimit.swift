/// What a plan can limit. Each feature declares its own (``StorageFeature/limits``).
public struct PlanLimit: Sendable, Hashable {
    /// The API's, the configuration's and the tokens' name: `maxShares`.
    public let rawValue: String
    /// As a page names it.
    public let title: String
    /// Whether what it limits can be used yet; if not, pages do not name it.
    public let isOffered: Bool
    /// What each plan allows before the owner's configuration; a plan that is absent does not limit it.
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

    /// Those of all features, in the features' order.
    public static let allCases = StorageFeature.all.flatMap(\.limits)

    private static let byWord = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    public static func == (left: PlanLimit, right: PlanLimit) -> Bool { left.rawValue == right.rawValue }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
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
