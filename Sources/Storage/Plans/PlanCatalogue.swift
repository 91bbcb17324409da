import Synchronization

/// The limits of each plan: the built-in values, and the values of the owner's configuration that replace them.
public final class PlanCatalogue: Sendable {
    private struct State {
        var limits: [Plan: PlanLimits]
        var standard: Plan
    }

    private static let builtIn = Dictionary(
        uniqueKeysWithValues: Plan.allCases.map { plan in
            (plan, PlanLimits(PlanLimit.allCases.reduce(into: [:]) { $0[$1] = $1.defaults[plan] }))
        })

    private let state: Mutex<State>

    public init() { state = Mutex(State(limits: Self.builtIn, standard: .enterprise)) }

    public subscript(plan: Plan) -> PlanLimits { state.withLock { $0.limits[plan] ?? .unlimited } }

    /// The next higher plan that allows more of this than the given one. Nil if there is none. `admin` is never offered.
    public func upgrade(from plan: Plan, for limit: PlanLimit) -> Plan? {
        guard let now = self[plan][limit] else { return nil }
        return Plan.allCases.filter { $0 > plan && $0 != .admin }.first { (self[$0][limit] ?? .max) > now }
    }

    /// The sentence after "… limit reached.": which plan allows more, or that none does.
    func advice(from plan: Plan, for limit: PlanLimit, whoUpgrades: String) -> String {
        guard let next = upgrade(from: plan, for: limit) else { return "No plan on this server allows more." }
        return "\(whoUpgrades) \(next.title) for \(self[next][limit] == nil ? "unlimited" : "more")."
    }

    /// The plan of a new account. Without a billing provider, nobody who installed this for himself is told to upgrade.
    public var standard: Plan { state.withLock { $0.standard } }

    /// Replaces all earlier changes with the owner's changes, each `plan.limit=number` with -1 or `unlimited` for no limit.
    /// - Returns: the problems with them, a sentence each. If there are any, nothing is changed.
    @discardableResult
    public func configure(standard: String?, changes: [String]) -> [String] {
        var problems: [String] = []
        var limits = Self.builtIn
        for change in changes {
            switch Self.parsed(change) {
            case .success(let (plan, limit, value)): limits[plan]?.set(limit, to: value)
            case .failure(let problem): problems.append(problem.sentence)
            }
        }
        let plan = standard.map { Plan(rawValue: $0) } ?? .enterprise
        if plan == nil { problems.append("'\(standard ?? "")' is not a plan") }
        guard problems.isEmpty, let plan else { return problems }
        let changed = limits
        state.withLock { $0 = State(limits: changed, standard: plan) }
        return []
    }

    private struct Problem: Error { let sentence: String }

    private static func parsed(_ change: String) -> Result<(Plan, PlanLimit, Int?), Problem> {
        let parts = change.split(separator: "=", maxSplits: 1).map(String.init)
        let names = parts.first?.split(separator: ".", maxSplits: 1).map(String.init) ?? []
        guard parts.count == 2, names.count == 2 else {
            return .failure(Problem(sentence: "'\(change)' is not PLAN.LIMIT=NUMBER, as in free.maxShares=2"))
        }
        guard let plan = Plan(rawValue: names[0]) else {
            let all = Plan.allCases.map(\.rawValue).joined(separator: ", ")
            return .failure(Problem(sentence: "'\(change)': there is no plan \(names[0]), only \(all)"))
        }
        guard let limit = PlanLimit(rawValue: names[1]) else {
            let all = PlanLimit.allCases.map(\.rawValue).joined(separator: ", ")
            return .failure(Problem(sentence: "'\(change)': there is no limit \(names[1]), only \(all)"))
        }
        if parts[1] == "unlimited" || parts[1] == "-1" { return .success((plan, limit, nil)) }
        guard let value = Int(parts[1]), (0...1_000_000_000).contains(value) else {
            return .failure(Problem(sentence: "'\(change)': a limit must be a number from 0, or unlimited"))
        }
        return .success((plan, limit, value))
    }
}
