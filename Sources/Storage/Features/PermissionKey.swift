/// What a member of an organisation may do. Roles are sets of these; tokens may carry fewer than their owner has.
///
/// Each feature declares its own (``StorageFeature/permissions``).
public struct PermissionKey: Sendable, Hashable, Comparable {
    /// The roles that every organisation has.
    public enum BuiltInRole: String, Sendable, CaseIterable { case owner, admin, support, member }

    /// As the API, roles and tokens spell it: `session:create`.
    public let rawValue: String
    /// One sentence for people who make a role.
    public let explanation: String
    /// The built-in roles that have it; empty for what is the appliance's own.
    let roles: Set<BuiltInRole>

    init(_ rawValue: String, _ explanation: String, _ roles: Set<BuiltInRole>) {
        self.rawValue = rawValue
        self.explanation = explanation
        self.roles = roles
    }

    /// - Returns: nil for a word that no feature declares.
    public init?(rawValue: String) {
        guard let known = Self.byWord[rawValue] else { return nil }
        self = known
    }

    /// Those of all features, in the features' order.
    public static let allCases = StorageFeature.all.flatMap(\.permissions)

    /// Those that an organisation's role can hold.
    public static let ofOrganisations = allCases.filter { !$0.roles.isEmpty }

    private static let byWord = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    public static func == (left: PermissionKey, right: PermissionKey) -> Bool { left.rawValue == right.rawValue }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }

    public static func < (left: PermissionKey, right: PermissionKey) -> Bool { left.rawValue < right.rawValue }

    /// Words separated by spaces; words that this version does not know are dropped: they allow nothing here.
    static func parse(_ text: String) -> Set<PermissionKey> {
        Set(text.split(separator: " ").compactMap { PermissionKey(rawValue: String($0)) })
    }

    static func text(of keys: Set<PermissionKey>) -> String { keys.sorted().map(\.rawValue).joined(separator: " ") }
}
