import Database
import Model
import Storage

extension WebFeature {
    /// Organisations with their members, roles, plan and audit log, and the pages for administrators about them.
    static let organisations = WebFeature(
        name: "organisations",
        navigation: [
            NavigationLink(
                path: "/organisation/members", title: "Members", group: .organisation, permission: .tenantRead,
                isForTeams: true),
            NavigationLink(
                path: "/organisation/roles", title: "Roles", group: .organisation, permission: .tenantRead,
                isForTeams: true),
            NavigationLink(
                path: "/organisation/plan", title: "Plan and usage", group: .organisation, permission: .tenantRead),
            NavigationLink(
                path: "/organisation/audit", title: "Audit log", group: .organisation, permission: .auditRead),
            NavigationLink(path: "/organisation", title: "Organisations", group: .organisation),
        ],
        exports: [
            .once("organisation") { scope in
                let found = try Organisation.find(id: scope.organisationId, in: scope.transaction)
                return found.map { [OrganisationResource($0, role: nil)] } ?? []
            },
            .once("role") { try Role.list(in: $0).filter { !$0.isBuiltIn }.map(RoleResource.init) },
            .once("invitation") { scope in
                try Invitation.list(now: .now(), in: scope).map { InvitationResource($0, roleName: $0.roleId) }
            },
            .once("usage") { try UsageLedger.sums(from: 0, to: endOfLedger, in: $0).map(UsageResource.init) },
            ExportPart(kind: "member") { after, scope in
                let page = try Member.list(after: after, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(MemberResource.init), next: $0.user.username) }
            },
            // Newest first.
            ExportPart(kind: "audit_event") { before, scope in
                let page = try Audit.list(Audit.Filter(before: Int(before)), limit: 500, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(AuditResource.init), next: "\($0.number)") }
            },
        ],
        routes: { services, routes in
            let (database, organisations) = (services.database, services.organisations)
            OrganisationRoutes(database: database, service: organisations, accounts: services.accounts).add(to: routes)
            MemberRoutes(service: organisations).add(to: routes)
            RoleRoutes(service: organisations).add(to: routes)
            PlanRoutes(service: organisations).add(to: routes)
            OrganisationPages(database: database, service: organisations).add(to: routes)
            PlanPages(service: organisations).add(to: routes)
            MemberPages(database: database, service: organisations).add(to: routes)
            RolePages(service: organisations).add(to: routes)
        })

    /// The hours from 1970 to the year 2286.
    private static let endOfLedger: Int64 = 2_777_777
}

extension ExportPart {
    /// A kind with few rows, exported in one page.
    static func once(
        _ kind: String, _ values: @escaping @Sendable (TenantScope) throws -> [any Encodable]
    ) -> ExportPart {
        ExportPart(kind: kind) { after, scope in after.isEmpty ? Page(values: try values(scope), next: nil) : nil }
    }
}
