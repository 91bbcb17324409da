import Storage
import Wire

// How the API describes these types (``Described``).

extension NewSession: Described {
    static let schema = Schema.named(
        "NewSession",
        [
            .field("hostPublicKey", .text(1...WireLimits.shortTextBytes, pattern: "^[ -~]+$")),
            .absentOrNull("sessionName", .either([.name(1...128), .words([""])])),
        ])
}

extension SessionResource: Described {
    static let schema = Schema.named(
        "Session",
        [
            .field("id", .string),
            .field("hostUserId", .string),
            .field("hostPublicKey", .string),
            .nullable("sessionName", .string),
            .field("startedAt", .time),
            .nullable("endedAt", .time),
            .optional("codes", .list(CodeResource.schema)),
        ])
}

extension NewCode: Described {
    static let schema = Schema.named(
        "NewCode",
        [
            .field("permission", .words(["read", "control"])),
            .absentOrNull("maxUses", .integer(1...Int(Int32.max))),
            .absentOrNull("expiresInMinutes", .integer(0...ShareCode.Request.longestMinutes)),
        ])
}

extension CodeResource: Described {
    static let schema = Schema.named(
        "Code",
        [
            .field("code", .string),
            .field("sessionId", .string),
            .field("permission", .words(["read", "control"])),
            .nullable("maxUses", .integer),
            .field("currentUses", .integer),
            .nullable("expiresAt", .time),
            .field("revoked", .boolean),
            .field("createdAt", .time),
        ])
}

extension CodeValidation: Described {
    static let schema = Schema.named(
        "Validation",
        [
            .field("valid", .boolean),
            .optional("permission", .words(["read", "control"])),
            .optional(
                "session",
                .object([.field("id", .string), .nullable("sessionName", .string), .field("hostUsername", .string)])),
            .optional("error", .string),
        ])
}
