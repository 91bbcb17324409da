import Model
import Storage

/// Parts of forms, and tables.
enum Field {
    /// - Parameters:
    ///   - hint: a sentence below the field.
    ///   - more: further attributes.
    ///   - id: where two forms of a page have a field of this name.
    static func text(
        _ name: String, _ label: String, value: String = "", type: String = "text", autocomplete: String = "off",
        isRequired: Bool = true, hint: String? = nil, more: HTML = "", id: String? = nil
    ) -> HTML {
        let id = id ?? name
        let described: HTML = hint.map { _ in " aria-describedby=\"\(id)-hint\"" } ?? ""
        let sentence: HTML = hint.map { "<p class=\"small\" id=\"\(id)-hint\">\($0)</p>" } ?? ""
        return """
            <label for="\(id)">\(label)</label><input id="\(id)" name="\(name)" type="\(type)" \
            value="\(value)" autocomplete="\(autocomplete)"\(" required", if: isRequired)\(described) \(more)>\(sentence)
            """
    }

    static func hidden(_ name: String, _ value: String) -> HTML {
        "<input type=\"hidden\" name=\"\(name)\" value=\"\(value)\">"
    }

    /// A box for each permission.
    static func permissions(_ name: String, _ keys: [PermissionKey], checked: Set<PermissionKey> = []) -> HTML {
        keys.map { key -> HTML in
            """
            <label class="check"><input type="checkbox" name="\(name)" value="\(key.rawValue)"\(" checked", if: checked.contains(key))> \
            <span><code>\(key.rawValue)</code> \(key.explanation)</span></label>
            """
        }.joined()
    }

    /// A button that posts by itself.
    static func action(_ path: String, _ label: String, _ token: FormToken, _ fields: [String: String] = [:]) -> HTML {
        let hidden = fields.sorted { $0.key < $1.key }.map { Self.hidden($0.key, $0.value) }.joined()
        return "<form method=\"post\" action=\"\(path)\">\(token.field)\(hidden)<button>\(label)</button></form>"
    }

    /// A button that opens a question, and posts with the question's own button. Without scripts: the browser opens it.
    /// - Parameter question: what happens, and whether it can be undone.
    static func action(
        _ path: String, _ label: String, _ token: FormToken, _ fields: [String: String] = [:], asks question: HTML
    ) -> HTML {
        """
        <details class="asks"><summary>\(label)</summary><div><p>\(question)</p>\(action(path, label, token, fields))</div></details>
        """
    }

    static func table(_ caption: String, _ heads: [String], _ rows: [[HTML]]) -> HTML {
        if rows.isEmpty { return "<p>None.</p>" }
        let head = heads.map { "<th scope=\"col\">\($0)</th>" as HTML }.joined()
        let body = rows.map { row -> HTML in
            let cells = row.enumerated().map { index, cell -> HTML in
                // On a narrow screen each cell stands alone, and says what it is.
                index == 0 ? "<th scope=\"row\">\(cell)</th>" : "<td data-label=\"\(heads[index])\">\(cell)</td>"
            }
            return "<tr>\(cells.joined())</tr>"
        }.joined()
        return "<table><caption>\(caption)</caption><thead><tr>\(head)</tr></thead><tbody>\(body)</tbody></table>"
    }
}
