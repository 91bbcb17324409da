import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// The page of an organisation's roles: the built-in roles and its own.
struct RolePages: Sendable {
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/roles", for: .member(.tenantRead), use: roles)
        routes.page(.post, "/organisation/roles", for: .member(.tenantManageRoles), in: roles, use: create)
        routes.page(.post, "/organisation/roles/change", for: .member(.tenantManageRoles), in: roles, use: change)
        routes.page(.post, "/organisation/roles/remove", for: .member(.tenantManageRoles), in: roles, use: remove)
    }

    @Sendable private func roles(_ page: PageRequest) async throws -> Response {
        let (member, roles) = try await service.read(page.caller.organisationId, .tenantRead, by: page.caller) {
            ($0, try Role.list(in: $1))
        }
        let rows = roles.map { role -> [HTML] in
            let remove =
                role.isBuiltIn || !member.may(.tenantManageRoles)
                ? ""
                : Action("/organisation/roles/remove", "Remove", page.token, ["id": role.id])
                    .asks("Only a role that nobody has can be removed; it cannot be restored.")
            let keys = role.permissions.sorted()
            let may: HTML =
                keys.isEmpty
                ? "nothing" : "<details><summary>\(keys.count) permissions</summary>\(Self.list(keys))</details>"
            return ["\(role.name)", role.isBuiltIn ? "built in" : Badge.html("custom"), may, remove]
        }
        let own = member.may(.tenantManageRoles) ? roles.filter { !$0.isBuiltIn } : []
        let changes = own.map { role -> HTML in
            let form = page.form("/organisation/roles/change", of: role.id)
            let boxes = form.hidden("id", role.id) + boxes(form, checked: role.permissions, offered: member)
            return Panel.html("What \(role.name) may do", form.html("Change", boxes))
        }.joined()
        let new = page.form("/organisation/roles")
        let name = new.text("name", "Name", more: "maxlength=\"64\"", id: "new-name")
        let making =
            member.may(.tenantManageRoles)
            ? Panel.html("A new role", new.html("Create", name + boxes(new, checked: [], offered: member))) : ""
        let table = Table("Roles", ["Name", .short("Kind"), "Permissions", .actions], rows)
        return page.page(
            "Roles", Panel.html(nil, table.html) + changes + making,
            lead: "What the members of this organisation may do.")
    }

    private static func list(_ keys: [PermissionKey]) -> HTML {
        "<ul>\(keys.map { "<li>\($0.explanation) <code>\($0.rawValue)</code></li>" as HTML }.joined())</ul>"
    }

    /// Only permissions of the creator: nobody can grant permissions they lack.
    private func boxes(_ form: FormView, checked: Set<PermissionKey>, offered member: Member) -> HTML {
        let all = PermissionKey.ofOrganisations.filter { member.may($0) || checked.contains($0) }
        return form.permissions("permission", "May", all, checked: checked)
    }

    private func permissions(_ page: PageRequest) throws -> Set<PermissionKey> {
        Set(
            try page.form.all("permission").map { word in
                guard let key = PermissionKey(rawValue: word) else {
                    throw APIError.badRequest("'\(word)' is not a permission.")
                }
                return key
            })
    }

    @Sendable private func create(_ page: PageRequest) async throws -> Response {
        let made = try await service.createRole(
            name: try page.form.require("name"), permissions: try permissions(page), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/roles", "The role \(made.name) is created.")
    }

    @Sendable private func change(_ page: PageRequest) async throws -> Response {
        let changed = try await service.changeRole(
            try page.form.require("id"), permissions: try permissions(page), in: page.caller.organisationId,
            by: page.caller)
        return page.back(to: "/organisation/roles", "The permissions of \(changed.name) are changed.")
    }

    @Sendable private func remove(_ page: PageRequest) async throws -> Response {
        try await service.removeRole(
            try page.form.require("id"), in: page.caller.organisationId, by: page.caller)
        return page.back(to: "/organisation/roles", "The role is removed.")
    }
}
