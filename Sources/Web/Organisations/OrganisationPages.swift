import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The pages of the sign-in's current organisation. `/organisation` is always that one.
struct OrganisationPages: Sendable {
    let database: Database
    let service: OrganisationOperations

    func add(to routes: Routes) {
        let here: Routes.PageHandler = organisation
        routes.page(.get, "/organisation", for: .account, use: here)
        routes.page(.post, "/organisation", for: .member(.tenantUpdate), in: here, use: change)
        routes.page(.post, "/organisation/create", for: .account, in: here, use: create)
        routes.page(.post, "/organisation/switch", for: .account, in: here, use: switchTo)
        routes.page(.post, "/organisation/leave", for: .account, in: here, use: leave)
        routes.page(.post, "/organisation/delete", for: .member(.tenantDelete), in: here, use: delete)
        routes.page(.post, "/organisation/restore", for: .account, in: here, use: restore)
        routes.page(.get, "/organisation/export", for: .memberEvenIfDeleted(.tenantExport), use: export)
        routes.page(.get, "/organisation/audit", for: .member(.auditRead), use: audit)
    }

    @Sendable private func organisation(_ page: PageRequest) async throws -> Response {
        let caller = page.caller
        let all = try await database.read { try Member.organisations(of: caller.user.id, in: $0) }
        let rows = all.map { member in row(member, page) }
        let here = all.first { $0.organisation.id == caller.organisationId }
        let new = page.form("/organisation/create")
        let table = Table("Your organisations", ["Name", "Your role", "Plan", .actions], rows)
        return page.page(
            "Organisations",
            Panel.html(nil, table.html)
                + Panel.columns([
                    here.map { rules($0, page) } ?? "",
                    Panel.html(
                        "A new organisation",
                        "<p class=\"small\">For a team: its members share machines, tunnels and share sessions.</p>"
                            + new.html("Create", new.text("name", "Name", more: "maxlength=\"64\"", id: "new-name"))),
                ]) + (here.map { ways($0, page) } ?? ""),
            lead: "Everything belongs to an organisation: your own, or a team's. Pages show the selected organisation.")
    }

    private func row(_ member: Member, _ page: PageRequest) -> [HTML] {
        let organisation = member.organisation
        let fields = ["id": organisation.id]
        var action: HTML = ""
        if organisation.deleteAfter != nil {
            action =
                member.may(.tenantDelete)
                ? Action("/organisation/restore", "Restore", page.token, fields).html : ""
        } else if organisation.id != page.caller.organisationId {
            action = Action("/organisation/switch", "Switch", page.token, fields).html
        }
        let isHere = organisation.id == page.caller.organisationId
        let name: HTML = """
            \(organisation.name) \(Badge.html("current", .ok), if: isHere)\
            \(Badge.html("deleted", .bad), if: organisation.deleteAfter != nil)\
            \("<br><span class=\"small\">personal</span>", if: organisation.personalOf != nil)
            """
        return [name, "\(member.role.name)", "\(organisation.plan.rawValue)", action]
    }

    private func rules(_ member: Member, _ page: PageRequest) -> HTML {
        guard member.may(.tenantUpdate), member.organisation.deleteAfter == nil else { return "" }
        let organisation = member.organisation
        let form = page.form("/organisation")
        let fields =
            form.text("name", "Name", value: organisation.name, more: "maxlength=\"64\"")
            + form.check("second-factor", "Members need a second factor", isOn: organisation.requiresSecondFactor)
            + form.check(
                "guests-without-account", "Guests without an account can join share sessions",
                isOn: organisation.takesGuestsWithoutAccount) + "<br>"
        let signOn: HTML =
            member.may(.signOnManage) && organisation.personalOf == nil
            ? "<p><a href=\"/organisation/single-sign-on\">Single sign-on</a> with your own provider</p>" : ""
        return Panel.html("Settings of \(organisation.name)", form.html("Save", fields) + signOn)
    }

    /// Exporting data, leaving, deleting.
    private func ways(_ member: Member, _ page: PageRequest) -> HTML {
        let organisation = member.organisation
        guard organisation.deleteAfter == nil else { return "" }
        var parts: [HTML] = []
        if member.may(.tenantExport) {
            parts.append("<p><a class=\"button\" href=\"/organisation/export\">Download all its data</a></p>")
        }
        if organisation.personalOf == nil {
            parts.append(
                Action("/organisation/leave", "Leave this organisation", page.token)
                    .asks("You lose access to it immediately; you need an invitation to rejoin."))
            if member.may(.tenantDelete) {
                let form = page.form("/organisation/delete")
                let confirm = form.text(
                    "confirm", "Type the organisation's name to delete it",
                    hint: "An owner can restore it within 30 days.")
                parts.append("<hr>\(form.html("Delete", isDanger: true, confirm))")
            }
        }
        return parts.isEmpty ? "" : Panel.html("Export, leave or delete", parts.joined())
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
        return page.back(to: "/organisation", "\(made.organisation.name) is created; you are its owner.")
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
            throw APIError.badRequest("confirm: The name is not \(name); nothing was deleted.")
        }
        let end = try await service.delete(id, by: page.caller)
        return page.back(to: "/organisation", "\(name) is deleted; you can restore it until \(end.readable).")
    }

    @Sendable private func restore(_ page: PageRequest) async throws -> Response {
        try await service.restore(try page.form.require("id"), by: page.caller)
        return page.back(to: "/organisation", "The organisation is restored.")
    }

    @Sendable private func export(_ page: PageRequest) async throws -> Response {
        try await OrganisationExport(organisations: service).response(of: page.caller.organisationId, for: page.caller)
    }

    // MARK: Audit

    @Sendable private func audit(_ page: PageRequest) async throws -> Response {
        let filter = try Audit.Filter(page.request)
        let events = try await service.read(page.caller.organisationId, .auditRead, by: page.caller) {
            try Audit.list(filter, in: $1)
        }
        return page.page(
            "Audit log", AuditTable(events: events, filter: filter, path: page.request.uri.path).html,
            lead: "Who did what here. Events cannot be changed: each one is hashed with the one before it.")
    }
}
