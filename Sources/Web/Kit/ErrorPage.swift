import Hummingbird
import Model
import Wire

/// An error as a page: the sentence that the API would answer, and a way back.
struct ErrorPage {
    let error: APIError
    let requestId: String

    init(_ error: APIError, _ context: WebContext) {
        self.error = error
        requestId = context.id
    }

    /// For a browser, where nobody knows whose it is: the address is wrong, or is a form's and was loaded again.
    func responseToBrowser() -> Response {
        let (title, sentence): (String, HTML) =
            switch error.status {
            case .notFound: ("No such page", "There is nothing at this address.")
            case .methodNotAllowed:
                (
                    "Nothing to show",
                    "This address takes a form, and shows nothing by itself. Go back, and send the form again."
                )
            default: ("This did not work", "\(error.body.message)")
            }
        let body: HTML = """
            <main><p class="brand">Postern</p><h1 class="failed">\(title)</h1><p role="alert">\(sentence)</p>
            <p><a href="/account">Your account</a> · <a href="/status">Status</a></p><p class="small">Request \(requestId)</p></main>
            """
        var response = Page(title: title, body: body).response
        response.status = error.status
        for field in error.headers { response.headers[field.name] = field.value }
        return response
    }

    /// - Parameter form: the path of the page whose form this answers.
    func response(to visit: Visit? = nil, form: String? = nil) -> Response {
        let back: HTML = form.map { "<a href=\"\($0)\">Back to the form</a> · " } ?? ""
        let body: HTML = """
            <p role="alert">\(error.body.message)</p>
            <p>\(back)<a href="\(visit == nil ? "/sign-in" : "/account")">\
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
