import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// The page of an account's API tokens.
struct TokenPages: Sendable {
    let database: Database
    let management: CredentialOperations

    func add(to routes: Routes) {
        routes.page(.get, "/account/tokens", for: .account, use: tokens)
        routes.page(.post, "/account/tokens", for: .member(.tokenCreate), in: tokens, use: create)
        routes.page(.post, "/account/tokens/revoke", for: .account, in: tokens, use: revoke)
    }

    @Sendable private func tokens(_ page: PageRequest) async throws -> Response { try await list(page, made: nil) }

    private func list(_ page: PageRequest, made: String?) async throws -> Response {
        let all = try await database.read { try APIToken.list(userId: page.caller.user.id, in: $0) }
        let rows = all.filter { $0.revokedAt == nil }.map { one -> [HTML] in
            [
                "\(one.name)",
                one.scopes.map { "\($0.sorted().map(\.explanation).joined(separator: "; "))" } ?? "Everything",
                TimeText.html(one.lastUsedAt, missing: "never"), TimeText.html(one.expiresAt, missing: "never"),
                Action("/account/tokens/revoke", "Revoke", page.token, ["id": one.id])
                    .asks("Programs that use it are refused, and their connections are closed."),
            ]
        }
        let new: HTML =
            made.map { Panel.notice("<p>The new token. It is shown only once:</p>\(Copyable.html($0))", .ok) } ?? ""
        let table = Table(
            "Your tokens", ["Name", "Permissions", .short("Last used"), .short("Expires"), .actions], rows,
            empty:
                "<p class=\"muted\">No tokens yet. Programs, scripts and <code>postern login</code> sign in with one.</p>"
        )
        return page.page(
            "API tokens", new + Panel.html(nil, table.html) + Panel.html("A new token", form(page)),
            lead: "A token is a password for a program. Give each program its own, with only the permissions it needs.")
    }

    private func form(_ page: PageRequest) -> HTML {
        let form = page.form("/account/tokens")
        return form.html(
            "Create token",
            form.text("name", "What it is for", hint: "For example: backup script", more: "maxlength=\"64\"")
                + form.text(
                    "days", "Days until it expires", type: "number", isRequired: false, hint: "Empty: never expires.",
                    more: "min=\"1\" max=\"3660\"")
                + "<details><summary>Limit its permissions</summary>"
                + form.permissions("scope", "Permissions (none selected: all of yours)", PermissionKey.ofOrganisations)
                + "</details><br>")
    }

    @Sendable private func create(_ page: PageRequest) async throws -> Response {
        let scopes = page.form.all("scope")
        let days = page.form["days"]
        guard days == nil || days.flatMap(Int.init) != nil else { throw APIError.badRequest("days: write a number.") }
        let (_, secret) = try await management.createToken(
            name: try page.form.require("name"), scopes: scopes.isEmpty ? nil : try Set.parse(scopes, field: "scope"),
            days: days.flatMap(Int.init), for: page.caller)
        return try await list(page, made: secret)
    }

    @Sendable private func revoke(_ page: PageRequest) async throws -> Response {
        try await management.revokeToken(try page.form.require("id"), of: page.caller)
        return page.back(to: "/account/tokens", "The token is revoked.")
    }
}
