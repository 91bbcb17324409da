import Database
import Hummingbird
import Storage
import Wire

/// A signed-in person's request for a page.
struct PageRequest: Sendable {
    let request: Request
    let context: WebContext
    let visit: Visit
    /// Empty but for POST.
    let form: Form

    var caller: Caller { visit.caller }

    /// A field of the query.
    func query(_ name: String) -> String? {
        let value = request.uri.queryParameters[Substring(name)].map(String.init) ?? ""
        return value.isEmpty ? nil : value
    }

    /// A page with the person's navigation.
    func page(_ title: String, _ body: HTML, notice: String? = nil) -> Response {
        Page(
            title: title, body: Navigation.wrapped(title: title, body, notice: notice ?? query("notice"), visit),
            hasForm: true
        )
        .response
    }

    /// Back to a page after something was done, with a word about it.
    func back(to path: String, _ notice: String) -> Response {
        .redirect(to: "\(path)?notice=\(FormText.encoded(notice))", type: .normal)
    }
}

/// What stands around every page of somebody who is signed in.
enum Navigation {
    private static let links = [
        ("/account", "Account"), ("/account/tokens", "Tokens"), ("/account/sign-ins", "Sign-ins"),
        ("/organisation", "Organisation"), ("/organisation/members", "Members"),
        ("/organisation/roles", "Roles"), ("/organisation/sessions", "Share sessions"),
        ("/organisation/plan", "Plan and usage"), ("/organisation/audit", "Audit"),
    ]

    static func wrapped(title: String, _ body: HTML, notice: String?, _ visit: Visit) -> HTML {
        let own = visit.caller.user.isAdmin ? [("/administration", "Administration")] : []
        let items = (links + own).map { "<li><a href=\"\($0.0)\">\($0.1)</a></li>" as HTML }.joined()
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

/// An error as a page: the sentence that the API would answer, and a way back.
struct ErrorPage {
    let error: APIError
    let requestId: String

    init(_ error: APIError, _ context: WebContext) {
        self.error = error
        requestId = context.id
    }

    func response(to visit: Visit? = nil) -> Response {
        let body: HTML = """
            <p role="alert">\(error.body.message)</p>
            <p><a href="\(visit == nil ? "/sign-in" : "/account")">\
            \(visit == nil ? "Sign in" : "Your account")</a></p><p class="small">Request \(requestId)</p>
            """
        let title = "This did not work"
        let whole: HTML =
            visit.map { Navigation.wrapped(title: title, body, notice: nil, $0) }
            ?? "<main><p class=\"brand\">Postern</p><h1 class=\"failed\">\(title)</h1>\(body)</main>"
        var response = Page(title: title, body: whole, hasForm: visit != nil).response
        response.status = error.status
        for field in error.headers { response.headers[field.name] = field.value }
        return response
    }
}
