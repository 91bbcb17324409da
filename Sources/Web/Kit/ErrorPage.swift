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
