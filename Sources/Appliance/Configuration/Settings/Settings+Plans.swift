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
        "Where people who reached a limit of their plan are sent; the plan's page here if it is not set.")
}
