import Database
import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// `/administration/notices`: messages on the status page. `postern incident` does the same.
struct NoticePages: Sendable {
    let database: Database

    func add(to routes: Routes) {
        let path = "/administration/notices"
        routes.page(.get, path, for: .administrator, use: notices)
        routes.page(.post, path, for: .administrator, in: notices, use: post)
        routes.page(.post, "\(path)/end", for: .administrator, in: notices, use: end)
    }

    private func operations(_ page: PageRequest) -> ApplianceOperations {
        ApplianceOperations(database: database, actor: Audit.Actor(page.caller))
    }

    @Sendable private func notices(_ page: PageRequest) async throws -> Response {
        let all = try await operations(page).incidents(includingResolved: true)
        let rows = all.map { one -> [HTML] in
            [
                "\(one.text)", TimeText.html(one.startedAt),
                one.resolvedAt.map { TimeText.html($0) } ?? Badge.html("shown now", .warning),
                one.resolvedAt == nil
                    ? Action("/administration/notices/end", "End", page.token, ["id": one.id]).html : "",
            ]
        }
        let form = page.form("/administration/notices")
        let text = form.text(
            "text", "Message", hint: "Shown on the status page until you end it.",
            more: "maxlength=\"\(Incident.textLimit)\" placeholder=\"The disk is being replaced; back at 18:00 UTC\"")
        let table = Table(
            "Notices", ["Notice", .short("Since"), .short("Until"), .actions], rows,
            empty: "<p class=\"muted\">No notices yet.</p>")
        return page.page(
            "Notices", Panel.html("A new notice", form.html("Post", text)) + Panel.html(nil, table.html),
            lead: "Messages shown on the status page.")
    }

    @Sendable private func post(_ page: PageRequest) async throws -> Response {
        _ = try await operations(page).postIncident(try page.form.require("text"))
        return page.back(to: "/administration/notices", "The notice is now on the status page.")
    }

    @Sendable private func end(_ page: PageRequest) async throws -> Response {
        _ = try await operations(page).resolveIncident(try page.form.require("id"))
        return page.back(to: "/administration/notices", "The notice is ended.")
    }
}
