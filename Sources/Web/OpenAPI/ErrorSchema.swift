import Wire

extension ErrorResource: Described {
    static let schema = Schema.named(
        "Error",
        [
            .field("statusCode", .integer),
            .field("message", .string),
            .field("code", .string),
            .optional("requestId", .string),
            .optional("limit", .integer),
            .optional("current", .integer),
            .optional("plan", .string),
            .optional("upgradeUrl", .string, "Where to upgrade; only for limits of a plan."),
        ])
}
