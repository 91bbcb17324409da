/// What an organisation may use. The ``PlanCatalogue`` contains the limits of each plan.
public enum Plan: String, Sendable, CaseIterable, Comparable {
    case free, pro, team, enterprise
    /// No limits: for the appliance's own people.
    case admin

    /// Ordered by what the plans allow.
    public static func < (left: Plan, right: Plan) -> Bool {
        let all = allCases
        return (all.firstIndex(of: left) ?? 0) < (all.firstIndex(of: right) ?? 0)
    }

    /// The name in a sentence: "Upgrade to Pro".
    public var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
}
