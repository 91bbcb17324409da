#if DEBUG
import Hummingbird
import Model
import Storage

/// `/administration/components`: every component of the pages, in each of its states. Only in debug builds.
struct ComponentsPage: Sendable {
    func add(to routes: Routes) {
        routes.page(.get, "/administration/components", for: .administrator, in: nil, use: show)
        routes.page(.post, "/administration/components", for: .administrator, in: show) { _ in
            throw APIError.badRequest("name: This is an example of an error.")
        }
    }

    @Sendable private func show(_ page: PageRequest) async throws -> Response {
        page.page(
            "Components", [states, figures, tables(page), forms(page), words].joined(),
            lead: "Every component used on these pages.")
    }

    private var states: HTML {
        Panel.html(
            "Badges, notices",
            """
            <p>\(Badge.html("online", .ok)) \(Badge.html("needs attention", .warning)) \(Badge.html("broken", .bad)) \(Badge.html("offline"))</p>
            \(Panel.notice("<p>A notice.</p>"))\(Panel.notice("<p>It is done.</p>", .ok))\
            \(Panel.notice("<p>Something needs attention.</p>", .warning))\(Panel.notice("<p>It did not work.</p>", .bad))
            """)
    }

    private var figures: HTML {
        let bars = (0..<24).map { Chart.Bar(label: "hour \($0)", value: Double($0 * $0 % 17), text: "\($0 * $0 % 17)") }
        return Panel.figures([
            .init(value: "3", name: "Machines", path: "/organisation/machines"),
            .init(value: "12.5 MiB", name: "Relayed"),
        ])
            + Panel.columns([
                Panel.html("Chart", Chart(title: "A chart", bars: bars, from: "24 hours ago", to: "now").html),
                Panel.html(
                    "Meters",
                    """
                    <p>\(Meter.html(2, of: 5))</p><p>\(Meter.html(85, of: 100))</p><p>\(Meter.html(99, of: 100))</p><p>\(Meter.html(7, of: nil))</p>
                    """),
            ])
            + Panel.html("QR code", QRCode.html("https://example.org/", label: "A QR code"))
    }

    private func tables(_ page: PageRequest) -> HTML {
        let action = Action("/administration/components", "Remove", page.token)
        let rows: [[HTML]] = [
            [
                "first", Badge.html("online", .ok), "12", TimeText.html(.now()),
                action.asks("This cannot be undone."),
            ],
            [
                "a-second-one-with-a-very-long-name-that-does-not-fit", Badge.html("offline"), "1,204", "never",
                action.html,
            ],
        ]
        let table = Table("A table", ["Name", .short("State"), .number("Count"), .short("Since"), .actions], rows)
        return Panel.html("Table", table.html) + Panel.html("Table without rows", Table("None", ["Name"], []).html)
            + Panel.empty("Nothing here yet", "<p>Run this to change that:</p>\(Copyable.html("postern share"))")
    }

    private func forms(_ page: PageRequest) -> HTML {
        let form = page.form("/administration/components")
        return Panel.html(
            "Form: submit it to see an error",
            form.html(
                "Send",
                form.text("name", "Name", value: "ana", hint: "A hint below the field.")
                    + form.text("password", "Password", type: "password", isRequired: false)
                    + form.select("plan", "Plan", [("free", "free"), ("pro", "pro")])
                    + form.check("rule", "A rule", isOn: true)
                    + form.permissions("scope", "May", Array(PermissionKey.ofOrganisations.prefix(4)))
                    + form.lines("text", "Several lines", value: "One\nTwo", isRequired: false)))
    }

    private var words: HTML {
        Panel.html(
            "Facts",
            Panel.facts([
                ("Name", "box"), ("Since", TimeText.html(.now())),
                ("Fingerprint", Copyable.html(String(repeating: "0123456789abcdef", count: 4))),
            ]))
    }
}
#endif
