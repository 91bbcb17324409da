import Model
import Storage

/// Events of an audit log, with a filter.
struct AuditTable {
    let events: [Audit.Event]
    let filter: Audit.Filter
    let path: String

    var html: HTML {
        let rows = events.map { event -> [HTML] in
            [
                "\(event.number)", TimeText.html(event.at), "\(event.actorName)", "<code>\(event.action)</code>",
                "\([event.target, event.detail].filter { !$0.isEmpty }.joined(separator: ": "))", result(event.result),
                "\(event.address)<br><span class=\"small\">\(event.credential)\(event.userAgent.isEmpty ? "" : ", \(event.userAgent)")</span>",
            ]
        }
        let table = Table(
            "Events, newest first",
            ["No.", .short("Time"), "Actor", .short("Action"), "Target", .short("Result"), "Source"], rows,
            empty: "<p class=\"muted\">No matching events.</p>")
        return Panel.html(nil, form + table.html + older)
    }

    private var form: HTML {
        let form = FormView(path, nil)
        let results = [("", "any"), ("done", "done"), ("failed", "failed"), ("refused", "refused")]
        return """
            <form method="get" action="\(path)"><div class="row">\
            \(form.text("actor", "Actor", value: filter.actor ?? "", isRequired: false))\
            \(form.text("action", "Action", value: filter.action ?? "", isRequired: false, more: "placeholder=\"member\""))\
            \(form.text("target", "Target", value: filter.target ?? "", isRequired: false))\
            \(form.select("result", "Result", results, chosen: filter.result ?? ""))\
            <div><button>Show</button> <a class="button" href="\(path)">All</a></div></div></form><hr>
            """
    }

    private func result(_ word: String) -> HTML { Badge.html(word, word == "done" ? .plain : .warning) }

    private var older: HTML {
        guard events.count == Audit.pageSize, let last = events.last else { return "" }
        let query = [
            ("actor", filter.actor), ("action", filter.action), ("target", filter.target), ("result", filter.result),
        ].compactMap { name, value in value.map { "\(name)=\(FormText.encoded($0))&amp;" as HTML } }.joined()
        return "<p><a class=\"button\" href=\"\(path)?\(query)before=\(last.number)\">Older</a></p>"
    }
}
