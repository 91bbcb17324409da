/// An action in the audit log. Each feature declares its own.
public struct AuditAction: Sendable, Hashable {
    /// The spelling in the log: `account.signed_in`.
    public let rawValue: String

    init(_ rawValue: String) { self.rawValue = rawValue }

    public static let auditAnchored = AuditAction("audit.anchored")
    /// The caller was not allowed to do this.
    public static let refused = AuditAction("refused")
    /// The administrators were notified of a possible attack.
    public static let alertRaised = AuditAction("alert.raised")
}

/// The result of an action.
public enum AuditResult: String, Sendable { case done, failed, refused }
