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
    func page(_ title: String, _ body: HTML, notice: String? = nil, status: HTTPResponse.Status = .ok) -> Response {
        let word: HTML = notice.map { "<p class=\"notice\" role=\"alert\">\($0)</p>" } ?? ""
        let whole: HTML = """
            <main><p class="brand"><a href="/">Postern</a></p><h1>\(title)</h1>\(word)\(body)</main>
            """
        var response = Page(title: title, body: whole, hasForm: true).response
        response.status = status
        return isNew ? response.with(cookie: Cookies.set(Cookies.visitor, secret, seconds: Self.seconds)) : response
    }
}
