import Wire

// How the API describes these types (``Described``).

extension HealthRoutes.Healthy: Described {
    static let schema = Schema.named(
        "Health",
        [
            .field("status", .words(["ok", "degraded"])),
            .field("timestamp", .time),
            .field("version", .string),
            .field("uptimeSeconds", .integer),
            .optional("message", .string),
        ])
}

extension HealthRoutes.Unhealthy: Described {
    static let schema = Schema.named(
        "Unhealthy",
        [
            .field("status", .words(["error"])),
            .field("message", .string),
        ])
}

extension HealthRoutes.Ready: Described {
    static let schema = Schema.named(
        "Ready",
        [
            .field("ready", .boolean),
            .field(
                "components",
                .list(
                    .object([
                        .field("name", .string), .field("state", .words(["ok", "warning", "alarm", "failed"])),
                        .field("text", .string),
                    ]))),
        ])
}
