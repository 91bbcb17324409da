import Storage
import Wire

// How the API describes these types (``Described``).

extension OrganisationResource: Described {
    static let schema = Schema.named(
        "Organisation",
        [
            .field("id", .string),
            .field("slug", .string, "Its short name, unique on this server."),
            .field("status", .words(["active", "deleted"])),
            .optional("memberCount", .integer, "Only in lists."),
            .field("name", .string),
            .field("plan", .string),
            .field("createdAt", .time),
            .field("isPersonal", .boolean),
            .field("requiresSecondFactor", .boolean),
            .field("takesGuestsWithoutAccount", .boolean),
            .optional("role", .string),
            .optional("permissions", .permissions),
            .optional("deleteAfter", .time),
        ])
}

extension MemberResource: Described {
    static let schema = Schema.named(
        "Member",
        [
            .field("userId", .string),
            .field("username", .string),
            .nullable("email", .string),
            .field("role", .string),
            .field("since", .time),
        ])
}

extension InvitationResource: Described {
    static let schema = Schema.named(
        "Invitation",
        [
            .field("id", .string),
            .field("role", .string),
            .field("invitedBy", .string),
            .field("createdAt", .time),
            .field("expiresAt", .time),
            .optional("email", .string),
            .optional("secret", .string),
            .optional("path", .string),
        ])
}

extension RoleResource: Described {
    static let schema = Schema.named(
        "Role",
        [
            .field("id", .string),
            .field("name", .string),
            .field("isBuiltIn", .boolean),
            .field("permissions", .permissions),
        ])
}

extension PlanResource: Described {
    static let schema = Schema.named(
        "Plan",
        [
            .field("plan", .string),
            .field("limits", .map(.integer)),
            .field("current", .map(.integer)),
        ])
}

extension UsageResource: Described {
    static let schema = Schema.named(
        "Usage",
        [
            .field("hour", .time),
            .field("unit", .words(UsageLedger.Unit.allCases.map(\.rawValue))),
            .field("amount", .integer),
        ])
}

extension AuditResource: Described {
    static let schema = Schema.named(
        "AuditEvent",
        [
            .field("number", .integer),
            .field("at", .time),
            .field("actorId", .string),
            .field("actor", .string),
            .field("action", .string),
            .field("target", .string),
            .field("address", .string),
            .field("credential", .string),
            .field("userAgent", .string, "The User-Agent header; empty for actions not made over HTTP."),
            .field("result", .string),
            .field("detail", .string),
            .field("digest", .string),
        ])
}

extension OverviewResource: Described {
    static let schema = Schema.named(
        "Overview",
        [
            .field("organisation", OrganisationResource.schema),
            .field("limits", .map(.integer), "-1 means no limit."),
            .field("members", .integer),
            .field("openSessions", .integer),
            .field("guests", .integer, "Guests in open sessions."),
            .field("usage", .list(UsageResource.schema), "Of the last 24 hours."),
        ])
}

extension NewOrganisation: Described {
    static let schema = Schema.object([
        .field("name", .name())
    ])
}

extension OrganisationChange: Described {
    static let schema = Schema.object([
        .absentOrNull("name", .name()),
        .absentOrNull("slug", .text(1...40, pattern: "^[a-z0-9][a-z0-9._-]*$")),
        .absentOrNull("requiresSecondFactor", .boolean),
        .absentOrNull("takesGuestsWithoutAccount", .boolean),
    ])
}

extension OrganisationRoutes.Deleted: Described {
    static let schema = Schema.object([
        .field("deleteAfter", .time)
    ])
}

extension Transfer: Described {
    static let schema = Schema.object([
        .field("userId", .string)
    ])
}

extension RoleChange: Described {
    static let schema = Schema.object([
        .field("role", .string)
    ])
}

extension NewInvitation: Described {
    static let schema = Schema.object([
        .field("role", .string),
        .absentOrNull("email", .email),
    ])
}

extension NewRole: Described {
    static let schema = Schema.object([
        .field("name", .name()),
        .field("permissions", .permissions),
    ])
}

extension PermissionsChange: Described {
    static let schema = Schema.object([
        .field("permissions", .permissions)
    ])
}

extension PlanChange: Described {
    static let schema = Schema.object([
        .field("plan", .plan)
    ])
}
