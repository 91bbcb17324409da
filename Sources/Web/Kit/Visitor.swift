import HTTPTypes
import Hummingbird
import Model
import Storage

/// A browser that is not signed in. Its forms are bound to it with a cookie.
struct Visitor: Sendable {
    /// A day, in seconds.
    private static let seconds: Int64 = 86_400

    let secret: String
    private let isNew: Bool
    let formToken: FormToken
    /// A form of this page that was refused.
    var returned: ReturnedForm?

    init(_ request: Request) {
        let known = Cookies.value(Cookies.visitor, of: request)
        secret = known ?? RandomText.make(letters: 43)
        formToken = FormToken(secret: secret)
        isNew = known == nil
    }

    /// A form of this page.
    func form(_ action: String) -> FormView { FormView(action, formToken, returned) }

    /// A page with forms for this browser.
    func page(
        _ title: String, _ body: HTML, status: HTTPResponse.Status = .ok, description: String? = nil
    ) -> Response {
        let word: HTML = returned.map { Panel.notice("<p>\($0.message)</p>", .bad, role: "alert") } ?? ""
        let whole = Page.alone("<h1>\(title)</h1>\(word)<div class=\"panel\">\(body)</div>")
        var response = Page(title: title, body: whole, hasForm: true, description: description).response
        response.status = status
        return isNew ? response.with(cookie: Cookies.set(Cookies.visitor, secret, seconds: Self.seconds)) : response
    }
}
