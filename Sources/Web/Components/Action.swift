import Model

/// A button that posts by itself.
struct Action {
    let path: String
    let label: String
    let token: FormToken
    var fields: [String: String] = [:]
    /// The one thing that the page is about.
    var isMain = false

    init(_ path: String, _ label: String, _ token: FormToken, _ fields: [String: String] = [:], isMain: Bool = false) {
        self.path = path
        self.label = label
        self.token = token
        self.fields = fields
        self.isMain = isMain
    }

    var html: HTML { form(style: isMain ? "main" : "") }

    /// Opens a question, and posts with the question's own button: for what cannot be undone. Without scripts, too: the browser opens it.
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
