public import Database
public import Model

extension Audit.Actor {
    public init(_ caller: Caller) {
        self.init(
            id: caller.user.id, name: caller.user.username, credential: caller.credential.text, address: caller.address,
            userAgent: caller.userAgent)
    }
}

extension Audit {
    /// Records an action of a caller.
    /// - Throws: ``StorageError``.
    public static func record(
        _ action: AuditAction, target: String, detail: String = "", result: AuditResult = .done, by caller: Caller,
        now: Timestamp, in scope: TenantScope
    ) throws {
        try record(action, target: target, detail: detail, result: result, actor: Actor(caller), now: now, in: scope)
    }
}
