import Wire

extension WebFeature {
    /// Who may use tunnels and domains.
    static let access = WebFeature(
        name: "access",
        routes: { services, routes in
            AccessRoutes(access: services.access).add(to: routes)
            AccessPages(access: services.access).add(to: routes)
        })
}

extension AccessPolicy: Described {
    static let schema = Schema.named(
        "AccessPolicy",
        [
            .absentOrNull("allow", .list(.text(1...64)), "Networks whose visitors are allowed; all if absent."),
            .absentOrNull("deny", .list(.text(1...64)), "Networks whose visitors are refused."),
            .absentOrNull("basicAuth", .list(.text(3...512)), "NAME:PASSWORD, with at least 8 characters of password."),
            .absentOrNull(
                "members", .list(.text(1...64)), "Members of the organisation by user name; empty allows all of them."),
            .absentOrNull("bearer", BearerPolicy.schema, "Signed tokens in Authorization: Bearer."),
            .absentOrNull("rate", RatePolicy.schema, "Requests of one visitor."),
            .absentOrNull("concurrency", .integer(1...100_000), "Requests at the same time."),
            .absentOrNull("breaker", BreakerPolicy.schema, "Refuses requests while the service fails."),
            .absentOrNull("requestHeaders", HeaderEdits.schema), .absentOrNull("responseHeaders", HeaderEdits.schema),
        ])
}

extension BearerPolicy: Described {
    static let schema = Schema.object([
        .absentOrNull("issuer", .string, "The required iss."), .absentOrNull("audience", .string, "A required aud."),
        .field("keys", .string, "A JSON Web Key Set (RFC 7517)."),
    ])
}

extension RatePolicy: Described {
    static let schema = Schema.object([
        .field("perMinute", .integer(1...1_000_000)),
        .absentOrNull("header", .text(1...128), "The header that tells visitors apart; their addresses if absent."),
    ])
}

extension BreakerPolicy: Described {
    static let schema = Schema.object([
        .field("failures", .integer(1...1000), "Failures in a row."), .field("seconds", .integer(1...3600)),
    ])
}

extension HeaderEdits: Described {
    static let schema = Schema.object([
        .absentOrNull("set", .map(.string)), .absentOrNull("remove", .list(.text(1...128))),
    ])
}
