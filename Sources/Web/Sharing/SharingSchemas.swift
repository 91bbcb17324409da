import Wire

// How the API describes these types (``Described``).

extension NewSession: Described {
    static let schema = Schema.named(
        "NewSession",
        [
            .field("hostPublicKey", .string),
            .absentOrNull("sessionName", .string),
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
            .absentOrNull("maxUses", .integer),
            .absentOrNull("expiresInMinutes", .integer),
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
