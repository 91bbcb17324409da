import Operations
import Storage

extension Settings {
    /// The limits of organisations.
    static let plansGroup: [any AnyTypedSetting] = [
        planDefault, planLimits, upgradeURL,
    ]

    static let planDefault = TypedSetting<Plan>.choice(
        "plan-default", standard: .enterprise, "The plan of new organisations.", reloads: true)
    static let planLimits = TypedSetting.list(
        "plan-limits", .list, "Changes to what plans allow, as in free.maxShares=2 or pro.maxViewers=unlimited.",
        reloads: true)
    static let upgradeURL = TypedSetting.optionalText(
        "upgrade-url", .url(["https", "http"]),
        "Where users who reach a limit of their plan are sent; defaults to the plan page of this server.")
}
