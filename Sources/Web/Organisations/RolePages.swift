import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// The page of an organisation's roles: the built-in ones, and its own.
struct RolePages: Sendable {
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/roles", for: .member(.tenantRead), use: roles)
        routes.page(.post, "/organisation/roles", for: .member(.tenantManageRoles), use: create)
        routes.page(.post, "/organisation/roles/change", for: .member(.tenantManageRoles), use: change)
        routes.page(.post, "/organisation/roles/remove", for: .member(.tenantManageRoles), use: remove)
    }

    @Sendable private func roles(_ page: PageRequest) async throws -> Response {
        let (member, roles) = try await service.read(page.caller.organisationId, .tenantRead, by: page.caller) {
            ($0, try Role.list(in: $1))
        }
        let token = page.visit.formToken
        let rows = roles.map { role -> [HTML] in
            let keys = role.permissions.sorted().map { "<code>\($0.rawValue)</code>" as HTML }.joined(separator: " ")
            let remove: HTML =
                role.isBuiltIn || !member.may(.tenantManageRoles)
                ? ""
                : Field.action(
                    "/organisation/roles/remove", "Remove", token, ["id": role.id],
                    asks: "A role that nobody has is removed for good.")
            return ["\(role.name)", role.isBuiltIn ? "built in" : "own", keys, remove]
        }
        let own = member.may(.tenantManageRoles) ? roles.filter { !$0.isBuiltIn } : []
        let changes = own.map { role -> HTML in
            """
            <h2>\(role.name)</h2><form method="post" action="/organisation/roles/change">\(token.field)
            \(Field.hidden("id", role.id))\(boxes(checked: role.permissions, offered: member))<p><button>Change</button></p></form>
            """
        }.joined()
        let new: HTML = """
            <h2>A new role</h2><form method="post" action="/organisation/roles">\(token.field)
            \(Field.text("name", "Name", more: "maxlength=\"64\"", id: "new-name"))\(boxes(checked: [], offered: member))
            <p><button>Make it</button></p></form>
            """
        return page.page(
            "Roles",
            Field.table("Roles", ["Name", "Kind", "May", ""], rows) + changes
                + (member.may(.tenantManageRoles) ? new : ""))
    }

    /// Only what the maker has: nobody can grant what they lack.
    private func boxes(checked: Set<PermissionKey>, offered member: Member) -> HTML {
        let all = PermissionKey.ofOrganisations.filter { member.may($0) || checked.contains($0) }
        return "<fieldset><legend>May</legend>\(Field.permissions("permission", all, checked: checked))</fieldset>"
    }

    private func permissions(_ page: PageRequest) throws -> Set<PermissionKey> {
        Set(
            try page.form.all("permission").map { word in
                guard let key = PermissionKey(rawValue: word) else {
                    throw APIError.badRequest("'\(word)' is no permission.")
                }
                return key
            })
    }

    @Sendable private func create(_ page: PageRequest) async throws -> Response {
        let made = try await service.createRole(
            name: try page.form.require("name"), permissions: try permissions(page), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/roles", "There is a role \(made.name) now.")
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        let changed = try await service.changeRole(
            try page.form.require("id"), permissions: try permissions(page), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/roles", "Whoever is \(changed.name) may do that from now on.")
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await service.removeRole(
            try page.form.require("id"), in: page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/roles", "The role is removed.")
    }
}
