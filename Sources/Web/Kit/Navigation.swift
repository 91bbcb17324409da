import Model
import Storage

/// A page that stands in the navigation of everybody who is signed in.
struct NavigationLink: Sendable {
    let path: String
    let title: String
    /// Shown to administrators of the server only.
    var isForAdministrators = false
}

/// The header of every page of somebody who is signed in.
enum Navigation {
    private static let links = WebFeature.all.flatMap(\.navigation)

    static func wrapped(title: String, _ body: HTML, notice: String?, _ visit: Visit) -> HTML {
        let items = links.filter { !$0.isForAdministrators || visit.caller.user.isAdmin }
            .map { "<li><a href=\"\($0.path)\">\($0.title)</a></li>" as HTML }.joined()
        let word: HTML = notice.map { "<p class=\"notice\" role=\"status\">\($0)</p>" } ?? ""
        return """
            <header><p class="brand"><a href="/">Postern</a></p><nav aria-label="Your pages"><ul class="nav">\(items)</ul></nav>
            <form method="post" action="/sign-out" class="inline">\(visit.formToken.field)\
            <span class="small">Signed in as <strong>\(visit.caller.user.username)</strong></span>
            <button>Sign out</button></form></header>
            <main><h1>\(title)</h1>\(word)\(body)</main>
            """
    }
}
