import Model
import Storage

/// A form that was refused: the entered values and the reason.
struct ReturnedForm: Sendable {
    /// The address to which it was sent.
    let action: String
    let values: [String: [String]]
    let message: String
    /// The field that the message is about, if it names one.
    let field: String?
}

/// A form. After a mistake it is shown again with the entered values and with the message next to its field.
struct FormView {
    let action: String
    private let token: FormToken?
    private let returned: ReturnedForm?

    /// - Parameters:
    ///   - token: nil if the page's address is a secret.
    ///   - returned: the refused form of this page, whichever form it is.
    init(_ action: String, _ token: FormToken?, _ returned: ReturnedForm? = nil) {
        self.action = action
        self.token = token
        self.returned = returned?.action == action ? returned : nil
    }

    /// The complete form.
    /// - Parameter submit: the text of its button.
    func html(_ submit: String, isDanger: Bool = false, _ fields: HTML = "") -> HTML {
        """
        <form method="post" action="\(action)">\(token?.field ?? "")\(fields)\
        <button class="\(isDanger ? "danger" : "main")">\(submit)</button></form>
        """
    }

    /// The value that was entered in a field. Nil if the form is new.
    private func typed(_ name: String) -> String? { returned.map { $0.values[name]?.first ?? "" } }

    /// - Parameters:
    ///   - hint: a sentence below the field.
    ///   - more: additional attributes.
    ///   - id: required if two forms of a page have a field with this name.
    func text(
        _ name: String, _ label: String, value: String = "", type: String = "text", autocomplete: String = "off",
        isRequired: Bool = true, hint: String? = nil, more: HTML = "", id: String? = nil
    ) -> HTML {
        let id = id ?? name
        // Passwords must be entered again: pages do not contain them.
        let shown = type == "password" ? "" : typed(name) ?? value
        return """
            <div class="field"><label for="\(id)">\(label)</label><input id="\(id)" name="\(name)" type="\(type)" \
            value="\(shown)" autocomplete="\(autocomplete)"\(" required", if: isRequired)\(about(name, id, hint)) \(more)>\
            \(below(name, id, hint))</div>
            """
    }

    /// A field with several lines.
    func lines(
        _ name: String, _ label: String, value: String = "", isRequired: Bool = true, hint: String? = nil,
        more: HTML = ""
    ) -> HTML {
        """
        <div class="field"><label for="\(name)">\(label)</label>\
        <textarea id="\(name)" name="\(name)"\(" required", if: isRequired)\(about(name, name, hint)) \(more)>\
        \(typed(name) ?? value)</textarea>\(below(name, name, hint))</div>
        """
    }

    /// The attributes that connect a field with the sentences below it.
    private func about(_ name: String, _ id: String, _ hint: String?) -> HTML {
        let isWrong = returned?.field == name
        let ids = [isWrong ? "\(id)-mistake" : nil, hint == nil ? nil : "\(id)-hint"].compactMap { $0 }
        guard !ids.isEmpty else { return "" }
        return " aria-describedby=\"\(ids.joined(separator: " "))\"\(" aria-invalid=\"true\"", if: isWrong)"
    }

    private func below(_ name: String, _ id: String, _ hint: String?) -> HTML {
        let mistake: HTML =
            returned?.field == name
            ? "<p class=\"mistake\" id=\"\(id)-mistake\">\(returned?.message ?? "")</p>" : ""
        let sentence: HTML = hint.map { "<p class=\"small\" id=\"\(id)-hint\">\($0)</p>" } ?? ""
        return mistake + sentence
    }

    /// - Parameter options: the value that is sent, and the text that is shown.
    func select(
        _ name: String, _ label: String, _ options: [(String, String)], chosen: String = "", id: String? = nil
    ) -> HTML {
        "<div class=\"field\"><label for=\"\(id ?? name)\">\(label)</label>"
            + Self.choice(name, options, chosen: typed(name) ?? chosen, " id=\"\(id ?? name)\"") + "</div>"
    }

    /// A selection in a row of a table, where its label is not visible.
    func choice(_ name: String, _ label: String, _ options: [(String, String)], chosen: String) -> HTML {
        Self.choice(name, options, chosen: chosen, " aria-label=\"\(label)\"")
    }

    private static func choice(_ name: String, _ options: [(String, String)], chosen: String, _ more: HTML) -> HTML {
        let shown = options.map { value, title -> HTML in
            "<option value=\"\(value)\"\(" selected", if: value == chosen)>\(title)</option>"
        }
        return "<select name=\"\(name)\"\(more)>\(shown.joined())</select>"
    }

    func check(_ name: String, _ label: String, isOn: Bool) -> HTML {
        let shown = returned.map { $0.values[name]?.contains("yes") ?? false } ?? isOn
        return """
            <label class="check"><input type="checkbox" name="\(name)" value="yes"\(" checked", if: shown)> \
            <span>\(label)</span></label>
            """
    }

    /// A checkbox for each permission.
    func permissions(
        _ name: String, _ legend: String, _ keys: [PermissionKey], checked: Set<PermissionKey> = []
    ) -> HTML {
        let shown = returned.map { $0.values[name] ?? [] } ?? checked.map(\.rawValue)
        let boxes = keys.map { key -> HTML in
            """
            <label class="check"><input type="checkbox" name="\(name)" value="\(key.rawValue)"\(" checked", if: shown.contains(key.rawValue))> \
            <span>\(key.explanation) <code>\(key.rawValue)</code></span></label>
            """
        }
        return "<fieldset><legend>\(legend)</legend><div class=\"boxes\">\(boxes.joined())</div></fieldset>"
    }

    func hidden(_ name: String, _ value: String) -> HTML {
        "<input type=\"hidden\" name=\"\(name)\" value=\"\(value)\">"
    }
}
