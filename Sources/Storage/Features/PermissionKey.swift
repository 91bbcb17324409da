/// A permission of a member of an organisation. Roles are sets of permissions. A token may have fewer permissions than its owner.
///
/// Each feature declares its own (``StorageFeature/permissions``).
public struct PermissionKey: Sendable, Hashable, Comparable {
    /// The roles that every organisation has.
    public enum BuiltInRole: String, Sendable, CaseIterable { case owner, admin, support, member }

    /// The spelling in the API, in roles and in tokens: `session:create`.
    public let rawValue: String
    /// One sentence for people who create a role.
    public let explanation: String
    /// The built-in roles that have it. Empty for the appliance's own permissions.
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

    /// The permissions of all features, in the features' order.
    public static let allCases = StorageFeature.all.flatMap(\.permissions)

    /// The permissions that an organisation's role can have.
    public static let ofOrganisations = allCases.filter { !$0.roles.isEmpty }

    private static let byWord = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })

    public static func == (left: PermissionKey, right: PermissionKey) -> Bool { left.rawValue == right.rawValue }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }

    public static func < (left: PermissionKey, right: PermissionKey) -> Bool { left.rawValue < right.rawValue }

    /// Parses words separated by spaces. Unknown words are dropped: they allow nothing in this version.
    static func parse(_ text: String) -> Set<PermissionKey> {
        Set(text.split(separator: " ").compactMap { PermissionKey(rawValue: String($0)) })
    }

    static func text(of keys: Set<PermissionKey>) -> String { keys.sorted().map(\.rawValue).joined(separator: " ") }
}
