import Hummingbird
import Model
import Wire

/// An error as a page: the API's message, and a link back.
struct ErrorPage {
    let error: APIError
    let requestId: String

    init(_ error: APIError, _ context: WebContext) {
        self.error = error
        requestId = context.id
    }

    /// For a browser whose user is unknown: the address is wrong, or it belongs to a form and was loaded again.
    func responseToBrowser() -> Response {
        let (title, sentence): (String, HTML) =
            switch error.status {
            case .notFound: ("No such page", "There is nothing at this address.")
            case .methodNotAllowed:
                (
                    "Nothing to show",
                    "This address only accepts a submitted form. Go back and submit the form again."
                )
            default: ("The request failed", "\(error.body.message)")
            }
        return answer(
            Page(
                title: title,
                body: Page.alone(
                    """
                    <h1 class="failed">\(title)</h1><p role="alert">\(sentence)</p>
                    <p><a class="button" href="/home">Overview</a> <a class="button" href="/status">Server status</a></p>\(footnote)
                    """)))
    }

    /// For a person who is not signed in.
    func response() -> Response {
        answer(
            Page(
                title: title,
                body: Page.alone(
                    """
                    <h1 class="failed">\(title)</h1><p role="alert">\(error.body.message)</p>
                    <p><a class="button" href="/sign-in">Sign in</a></p>\(footnote)
                    """)))
    }

    /// For a person who is signed in.
    func response(in navigation: Navigation) -> Response {
        let body: HTML = """
            <p role="alert">\(error.body.message)</p><p><a class="button" href="/home">Overview</a></p>\(footnote)
            """
        return answer(Page(title: title, body: navigation.wrapped(title: title, body), hasForm: true))
    }

    private let title = "The request failed"
    private var footnote: HTML { "<p class=\"small\">Request \(requestId)</p>" }

    private func answer(_ page: Page) -> Response {
        var response = page.response
        response.status = error.status
        for field in error.headers { response.headers[field.name] = field.value }
        return response
    }
}
