import HTTPTypes
import Hummingbird
import Model
import Storage

/// A browser that is not signed in: a cookie of its own ties the forms it gets to it.
struct Visitor: Sendable {
    /// A day, in seconds.
    private static let seconds: Int64 = 86_400

    let secret: String
    private let isNew: Bool

    init(_ request: Request) {
        let known = Cookies.value(Cookies.visitor, of: request)
        secret = known ?? RandomText.make(letters: 43)
        isNew = known == nil
    }

    var formToken: FormToken { FormToken(secret: secret) }

    /// A page with forms for this browser.
    func page(_ title: String, _ body: String, notice: String? = nil, status: HTTPResponse.Status = .ok) -> Response {
        let word = notice.map { "<p class=\"notice\" role=\"alert\">\(Page.escaped($0))</p>" } ?? ""
        let whole = """
            <main><p class="brand"><a href="/">Postern</a></p><h1>\(Page.escaped(title))</h1>\(word)\(body)</main>
            """
        var response = Page(title: title, body: whole, hasForm: true).response
        response.status = status
        return isNew ? response.with(cookie: Cookies.set(Cookies.visitor, secret, seconds: Self.seconds)) : response
    }
}

/// Parts of forms.
enum Field {
    static func text(
        _ name: String, _ label: String, value: String = "", type: String = "text", autocomplete: String = "off",
        isRequired: Bool = true, hint: String? = nil, more: String = "", id: String? = nil
    ) -> String {
        let id = id ?? name
        let described = hint.map { _ in " aria-describedby=\"\(id)-hint\"" } ?? ""
        let sentence = hint.map { "<p class=\"small\" id=\"\(id)-hint\">\(Page.escaped($0))</p>" } ?? ""
        return """
            <label for="\(id)">\(Page.escaped(label))</label><input id="\(id)" name="\(name)" type="\(type)" \
            value="\(Page.escaped(value))" autocomplete="\(autocomplete)"\(isRequired ? " required" : "")\(described) \(more)>\(sentence)
            """
    }

    static func hidden(_ name: String, _ value: String) -> String {
        "<input type=\"hidden\" name=\"\(name)\" value=\"\(Page.escaped(value))\">"
    }

    /// A box for each permission.
    static func permissions(_ name: String, _ keys: [PermissionKey], checked: Set<PermissionKey> = []) -> String {
        keys.map {
            """
            <label class="check"><input type="checkbox" name="\(name)" value="\($0.rawValue)"\(checked.contains($0) ? " checked" : "")> \
            <span><code>\($0.rawValue)</code> \($0.explanation)</span></label>
            """
        }.joined()
    }

    /// A button that posts by itself.
    static func action(_ path: String, _ label: String, _ token: FormToken, _ fields: [String: String] = [:]) -> String
    {
        let hidden = fields.sorted { $0.key < $1.key }.map { Self.hidden($0.key, $0.value) }.joined()
        return """
            <form method="post" action="\(Page.escaped(path))">\(token.field)\(hidden)<button>\(Page.escaped(label))</button></form>
            """
    }

    static func table(_ caption: String, _ heads: [String], _ rows: [[String]]) -> String {
        if rows.isEmpty { return "<p>None.</p>" }
        let head = heads.map { "<th scope=\"col\">\(Page.escaped($0))</th>" }.joined()
        let body = rows.map { row in
            let cells = row.enumerated().map { index, cell in
                // On a narrow screen each cell stands alone, and says what it is.
                index == 0
                    ? "<th scope=\"row\">\(cell)</th>" : "<td data-label=\"\(Page.escaped(heads[index]))\">\(cell)</td>"
            }
            return "<tr>\(cells.joined())</tr>"
        }.joined()
        return
            "<table><caption>\(Page.escaped(caption))</caption><thead><tr>\(head)</tr></thead><tbody>\(body)</tbody></table>"
    }
}
