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
