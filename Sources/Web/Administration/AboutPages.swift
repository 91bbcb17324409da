import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// `/about`: the owner's text about this server, for everybody, and the form to edit it.
struct AboutPages: Sendable {
    let database: Database
    let authenticator: Authenticator

    func add(to routes: Routes) {
        routes.openPage(.get, "/about", limit: .none, use: about)
        routes.page(.get, "/administration/about", for: .administrator, use: form)
        routes.page(.post, "/administration/about", for: .administrator, in: form, use: save)
    }

    @Sendable private func about(_ request: Request, _ context: WebContext) async throws -> Response {
        let text = try await database.read { try OwnerText.about.read(in: $0) }
        let visit = try await authenticator.visit(of: request, context)
        let body: HTML =
            text.map { Self.paragraphs($0) }
            ?? "<p class=\"muted\">The administrator of this server has not described it yet.</p>"
        let write: HTML =
            visit?.caller.user.isAdmin == true
            ? "<p><a class=\"button\" href=\"/administration/about\">Edit</a></p>" : ""
        return Page(
            title: "About this server",
            body: Page.alone(
                "<h1>About this server</h1><div class=\"panel\">\(body)</div>\(write)\(PublicLinks.html)", isWide: true),
            description: text.map { String($0.prefix(160)) } ?? "A Postern server."
        ).response
    }

    /// An empty line separates paragraphs. An address that is alone on a line becomes a link.
    static func paragraphs(_ text: String) -> HTML {
        // Browsers send CR LF.
        let lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        return lines.split(whereSeparator: { $0.allSatisfy(\.isWhitespace) }).map { lines -> HTML in
            let inside = lines.map { line -> HTML in
                let isLink = (line.hasPrefix("https://") || line.hasPrefix("http://")) && !line.contains(" ")
                return isLink ? "<a href=\"\(line)\" rel=\"noopener noreferrer\">\(line)</a>" : "\(line)"
            }
            return "<p>\(inside.joined(separator: "<br>"))</p>"
        }.joined()
    }

    @Sendable private func form(_ page: PageRequest) async throws -> Response {
        let text = try await database.read { try OwnerText.about.read(in: $0) }
        let form = page.form("/administration/about")
        let lines = form.lines(
            "about", "About this server", value: text ?? "", isRequired: false,
            hint:
                "Plain text. An empty line starts a new paragraph; a URL alone on a line becomes a link.",
            more: "maxlength=\"\(OwnerText.greatest)\"")
        return page.page(
            "About page", Panel.html(nil, form.html("Save", lines)),
            lead: "Who runs this server, for whom, and how to reach you. It is public at /about.")
    }

    @Sendable private func save(_ page: PageRequest) async throws -> Response {
        try await ApplianceOperations(database: database, actor: Audit.Actor(page.caller))
            .set(.about, to: page.form["about"] ?? "")
        return page.back(to: "/administration/about", "Saved. It is public at /about.")
    }
}
