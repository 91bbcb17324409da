import Model

/// The boxes of a page.
enum Panel {
    /// A box with a heading.
    static func html(_ title: String? = nil, _ body: HTML, isDanger: Bool = false) -> HTML {
        let heading: HTML = title.map { "<h2>\($0)</h2>" } ?? ""
        return "<section class=\"panel\(" danger", if: isDanger)\">\(heading)\(body)</section>"
    }

    /// Boxes next to each other, if there is room.
    static func columns(_ panels: [HTML]) -> HTML { "<div class=\"columns\">\(panels.joined())</div>" }

    /// Named facts about one object.
    static func facts(_ facts: [(String, HTML)]) -> HTML {
        "<dl class=\"facts\">\(facts.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" as HTML }.joined())</dl>"
    }

    /// A number with its name, which may link to a page about it.
    struct Figure {
        let value: String
        let name: String
        var path: String?
    }

    static func figures(_ figures: [Figure]) -> HTML {
        let items = figures.map { figure -> HTML in
            let inside: HTML = "<strong>\(figure.value)</strong><span>\(figure.name)</span>"
            return figure.path.map { "<li><a href=\"\($0)\">\(inside)</a></li>" } ?? "<li>\(inside)</li>"
        }
        return "<ul class=\"figures\">\(items.joined())</ul>"
    }

    /// A sentence that must be seen.
    static func notice(_ body: HTML, _ tone: Badge.Tone = .plain, role: String = "status") -> HTML {
        "<div class=\"notice \(tone.rawValue)\" role=\"\(role)\">\(body)</div>"
    }

    /// The text of a page without content, and the next step.
    static func empty(_ title: String, _ body: HTML) -> HTML {
        "<section class=\"panel empty\"><h2>\(title)</h2>\(body)</section>"
    }
}
