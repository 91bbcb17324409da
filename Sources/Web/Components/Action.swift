import Model

/// A button that posts its own form.
struct Action {
    let path: String
    let label: String
    let token: FormToken
    var fields: [String: String] = [:]
    /// The main action of the page.
    var isMain = false

    init(_ path: String, _ label: String, _ token: FormToken, _ fields: [String: String] = [:], isMain: Bool = false) {
        self.path = path
        self.label = label
        self.token = token
        self.fields = fields
        self.isMain = isMain
    }

    var html: HTML { form(style: isMain ? "main" : "") }

    /// Opens a confirmation, which contains the button that posts: for actions that cannot be undone. The browser opens
    /// it without scripts, too.
    /// - Parameter question: what happens, and whether it can be undone.
    func asks(_ question: HTML) -> HTML {
        """
        <details class="asks"><summary class="danger">\(label)</summary><div><p>\(question)</p>\(form(style: "danger"))</div></details>
        """
    }

    private func form(style: String) -> HTML {
        let hidden = fields.sorted { $0.key < $1.key }.map { name, value -> HTML in
            "<input type=\"hidden\" name=\"\(name)\" value=\"\(value)\">"
        }
        return """
            <form method="post" action="\(path)" class="inline">\(token.field)\(hidden.joined())\
            <button class="\(style)">\(label)</button></form>
            """
    }
}
