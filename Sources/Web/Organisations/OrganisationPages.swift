import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of the organisation that a sign-in is in: itself, plan and usage, audit log. `/organisation` is always that one.
struct OrganisationPages: Sendable {
    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation", for: .account, use: organisation)
        routes.page(.post, "/organisation", for: .member(.tenantUpdate), use: change)
        routes.page(.post, "/organisation/create", for: .account, use: create)
        routes.page(.post, "/organisation/switch", for: .account, use: switchTo)
        routes.page(.post, "/organisation/leave", for: .account, use: leave)
        routes.page(.post, "/organisation/delete", for: .member(.tenantDelete), use: delete)
        routes.page(.post, "/organisation/restore", for: .account, use: restore)
        routes.page(.get, "/organisation/export", for: .memberEvenIfDeleted(.tenantExport), use: export)
        routes.page(.get, "/organisation/plan", for: .member(.tenantRead), use: plan)
        routes.page(.get, "/organisation/audit", for: .member(.auditRead), use: audit)
    }

    @Sendable private func organisation(_ page: PageRequest) async throws -> Response {
        let caller = page.caller
        let all = try await database.read { try Member.organisations(of: caller.user.id, in: $0) }
        let token = page.visit.formToken
        let rows = all.map { member -> [HTML] in
            let organisation = member.organisation
            let isHere = organisation.id == caller.organisationId
            let restore = Field.action("/organisation/restore", "Bring it back", token, ["id": organisation.id])
            let go = Field.action("/organisation/switch", "Switch to it", token, ["id": organisation.id])
            let action: HTML =
                organisation.deleteAfter != nil
                ? (member.may(.tenantDelete) ? restore : "deleted") : isHere ? "this one" : go
            return [
                "\(organisation.name)", "\(member.role.name)", "\(organisation.plan.rawValue)", action,
            ]
        }
        let here = all.first { $0.organisation.id == caller.organisationId }
        return page.page(
            here?.organisation.name ?? "Organisations",
            """
            \(Field.table("Your organisations", ["Name", "Your role", "Plan", ""], rows))
            \(here.map { rules($0, page) } ?? "")
            <h2>A new organisation</h2><form method="post" action="/organisation/create">\(token.field)
            \(Field.text("name", "Name", more: "maxlength=\"64\"", id: "new-name"))<p><button>Make it</button></p></form>
            """)
    }

    private func rules(_ member: Member, _ page: PageRequest) -> HTML {
        let token = page.visit.formToken
        let organisation = member.organisation
        var parts: HTML = ""
        if member.may(.tenantUpdate) {
            parts =
                parts + """
                    <h2>Rules</h2><form method="post" action="/organisation">\(token.field)
                    \(Field.text("name", "Name", value: organisation.name, more: "maxlength=\"64\""))
                    <label class="check"><input type="checkbox" name="second-factor" value="yes"\(" checked", if: organisation.requiresSecondFactor)> \
                    <span>Members need a second factor</span></label>
                    <label class="check"><input type="checkbox" name="guests-without-account" value="yes"\(" checked", if: organisation.takesGuestsWithoutAccount)> \
                    <span>Share sessions take guests without an account</span></label><p><button>Save</button></p></form>
                    """
        }
        if member.may(.tenantExport) {
            parts = parts + "<p><a href=\"/organisation/export\">Take all of its data out</a></p>"
        }
        if organisation.personalOf == nil {
            parts =
                parts
                + Field.action(
                    "/organisation/leave", "Leave this organisation", token,
                    asks: "You lose access to it at once; coming back needs an invitation.")
            if member.may(.tenantDelete) {
                parts =
                    parts + """
                        <h2>Delete</h2><form method="post" action="/organisation/delete">\(token.field)
                        \(Field.text("confirm", "Type the organisation's name to delete it", hint: "An owner can bring it back for 30 days."))
                        <p><button>Delete it</button></p></form>
                        """
            }
        }
        return parts
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        _ = try await service.change(
            page.caller.organisationId,
            Organisation.Change(
                name: try page.form.require("name"), requiresSecondFactor: page.form["second-factor"] == "yes",
                takesGuestsWithoutAccount: page.form["guests-without-account"] == "yes"), by: page.caller)
        return page.back(to: "/organisation", "Saved.")
    }

    @Sendable private func create(_ page: PageRequest) async throws -> Response {
        let made = try await service.create(name: try page.form.require("name"), by: page.caller)
        _ = try await service.switchTo(made.organisation.id, by: page.caller)
        return page.back(to: "/organisation", "\(made.organisation.name) is made; you are its owner.")
    }

    @Sendable private func switchTo(_ page: PageRequest) async throws -> Response {
        _ = try await service.switchTo(try page.form.require("id"), by: page.caller)
        return .redirect(to: "/organisation", type: .normal)
    }

    @Sendable private func leave(_ page: PageRequest) async throws -> Response {
        try await service.leave(page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation", "You have left the organisation.")
    }

    @Sendable private func delete(_ page: PageRequest) async throws -> Response {
        let id = page.caller.organisationId
        let name = try await service.read(id, .tenantDelete, by: page.caller) { member, _ in member.organisation.name }
        guard page.form["confirm"] == name else {
            throw APIError.badRequest("The name is not \(name); nothing was deleted.")
        }
        let end = try await service.delete(id, by: page.caller)
        return page.back(to: "/organisation", "\(name) is deleted; you can bring it back until \(end.readable).")
    }

    @Sendable private func restore(_ page: PageRequest) async throws -> Response {
        try await service.restore(try page.form.require("id"), by: page.caller)
        return page.back(to: "/organisation", "It is back.")
    }

    @Sendable private func export(_ page: PageRequest) async throws -> Response {
        try await OrganisationExport(organisations: service).response(of: page.caller.organisationId, for: page.caller)
    }

    // MARK: Plan and usage

    @Sendable private func plan(_ page: PageRequest) async throws -> Response {
        let id = page.caller.organisationId
        let found = try await service.plan(of: id, by: page.caller)
        let rows = PlanLimit.allCases.map { limit -> [HTML] in
            let value = found.limits[limit]
            return [
                "\(limit.title)", value.map { "\($0)" } ?? "no limit",
                found.current[limit].map { "\($0)" } ?? "",
            ]
        }
        let now = UsageLedger.hour(of: .now())
        let sums: [UsageLedger.Sum]?
        do {
            sums = try await service.read(id, .usageRead, by: page.caller) {
                try UsageLedger.sums(from: now - 23, to: now, in: $1)
            }
        } catch let refusal as Refusal where refusal.code == .notAllowed {
            sums = nil
        }
        let usage = sums.map { UsageTable(usage: $0.map(UsageResource.init)).html }
        return page.page(
            "Plan and usage",
            """
            <p>This organisation is on the plan <strong>\(found.plan.rawValue)</strong>.</p>
            \(Field.table("What the plan allows", ["Limit", "Allowed", "Now"], rows))
            <h2>The last 24 hours</h2>\(usage ?? "<p>Your role does not see usage.</p>")
            """)
    }

    // MARK: Audit

    @Sendable private func audit(_ page: PageRequest) async throws -> Response {
        let filter = try Audit.Filter(page.request)
        let events = try await service.read(page.caller.organisationId, .auditRead, by: page.caller) {
            try Audit.list(filter, in: $1)
        }
        return page.page("Audit log", AuditTable(events: events, filter: filter, path: page.request.uri.path).html)
    }
}
