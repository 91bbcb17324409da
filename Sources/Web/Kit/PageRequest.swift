import Database
import Hummingbird
import Model
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
