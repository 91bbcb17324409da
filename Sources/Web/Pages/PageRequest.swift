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

    /// A page with the person's navigation. It shows the notice of the page before, once.
    func page(_ title: String, _ body: HTML, notice: String? = nil) -> Response {
        let left = Cookies.value(Cookies.notice, of: request).map { FormText.decoded($0[...]) }
        let response = Page(
            title: title, body: Navigation.wrapped(title: title, body, notice: notice ?? left, visit), hasForm: true
        ).response
        return left == nil ? response : response.with(cookie: Cookies.set(Cookies.notice, "", seconds: 0))
    }

    /// Back to a page after something was done, with a notice about it. The notice is in a cookie and not in the address: a link that
    /// somebody sends must not put words into a page of ours.
    func back(to path: String, _ notice: String) -> Response {
        .redirect(to: path, type: .normal)
            .with(cookie: Cookies.set(Cookies.notice, FormText.encoded(notice), seconds: Self.noticeSeconds))
    }

    /// A browser follows the redirect at once; a page opened much later has nothing to do with the notice.
    private static let noticeSeconds: Int64 = 60
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
