import Model

/// The providers that people can sign in with here.
struct Providers: Sendable {
    struct Provider: Sendable {
        let path: String
        let title: String
    }

    var all: [Provider] = []

    /// Links for the sign-in page.
    func links(next: String) -> HTML {
        if all.isEmpty { return "" }
        let items = all.map { one -> HTML in
            "<p><a class=\"button\" href=\"\(one.path)?to=browser&amp;next=\(FormText.encoded(next))\">Sign in with \(one.title)</a></p>"
        }
        return "<hr>\(items.joined())"
    }
}
