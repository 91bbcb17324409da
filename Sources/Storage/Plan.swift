/// What an account may use. The numbers are data; the checks stand where the thing happens.
public enum Plan: String, Sendable, CaseIterable {
    case free, pro, team, enterprise
    /// No limits: the appliance's own people.
    case admin

    /// With no billing provider, nobody who installed this for himself is told to upgrade.
    public static let `default` = Plan.enterprise

    /// As a sentence names it: "Upgrade to Pro".
    public var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }

    public var limits: PlanLimits {
        switch self {
        case .free: PlanLimits(maxShares: 1, maxCodes: 2, maxCodeMinutes: 30, maxViewers: 2)
        case .pro: PlanLimits(maxShares: 5, maxCodes: nil, maxCodeMinutes: nil, maxViewers: 10)
        case .team: PlanLimits(maxShares: nil, maxCodes: nil, maxCodeMinutes: nil, maxViewers: 50)
        case .enterprise, .admin: PlanLimits(maxShares: nil, maxCodes: nil, maxCodeMinutes: nil, maxViewers: nil)
        }
    }
}

/// The limits that sharing knows; nil means no limit.
public struct PlanLimits: Sendable, Equatable {
    /// Share sessions at once per user.
    public let maxShares: Int?
    /// Live codes per share session.
    public let maxCodes: Int?
    /// A code's longest life, in minutes.
    public let maxCodeMinutes: Int?
    /// Guests at once per share session.
    public let maxViewers: Int?
}
