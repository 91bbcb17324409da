/// What the audit log speaks of: who did what to what. Each feature declares its own.
public struct AuditAction: Sendable, Hashable {
    /// As the log has it: `account.signed_in`.
    public let rawValue: String

    init(_ rawValue: String) { self.rawValue = rawValue }

    public static let auditAnchored = AuditAction("audit.anchored")
    /// Something was asked that the asker may not.
    public static let refused = AuditAction("refused")
    /// The administrators were told of something that looks like an attack.
    public static let alertRaised = AuditAction("alert.raised")
}

/// How it went.
public enum AuditResult: String, Sendable { case done, failed, refused }
