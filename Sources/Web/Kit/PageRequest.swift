import Database
import Hummingbird
import Model
import Storage
import Telemetry
import Wire

/// A signed-in person's request for a page.
struct PageRequest: Sendable {
    let request: Request
    let context: WebContext
    let visit: Visit
    /// The person's membership in the browser's current organisation. Nil if the organisation is deleted.
    let member: Member?
    /// Empty except for POST.
    let form: Form
    /// The position in the feed of changes before any data of the page was read. See ``ChangeFeed/position``.
    let seen: String
    /// A form of this page that was refused.
    var returned: ReturnedForm?

    var caller: Caller { visit.caller }
    var token: FormToken { visit.formToken }

    func may(_ key: PermissionKey) -> Bool { member?.may(key) ?? false }

    /// A form of this page.
    func form(_ action: String) -> FormView { FormView(action, visit.formToken, returned) }

    /// A form that appears several times on this page, once for each object.
    /// - Parameter id: the value of its field `id`.
    func form(_ action: String, of id: String) -> FormView {
        FormView(action, visit.formToken, returned?.values["id"]?.first == id ? returned : nil)
    }

    /// A field of the query.
    func query(_ name: String) -> String? {
        request.sentForm[name]
    }

    /// A page with the person's navigation. It shows the notice of the previous action, once.
    /// - Parameter live: the changes for which the open page updates itself. See ``ChangeTopic``.
    func page(_ title: String, _ body: HTML, lead: String? = nil, live: [ChangeTopic] = []) -> Response {
        let left = Cookies.value(Cookies.notice, of: request).map { FormText.decoded($0[...]) }
        let word: HTML = left.map { Panel.notice("<p>\($0)</p>", .ok) } ?? ""
        let mistake: HTML = returned.map { Panel.notice("<p>\($0.message)</p>", .bad, role: "alert") } ?? ""
        let sentence: HTML = lead.map { "<p class=\"lead\">\($0)</p>" } ?? ""
        // A refused form has an address that is not a page.
        let live = returned == nil ? live : []
        let topics: HTML? =
            live.isEmpty
            ? nil : "data-live=\"\(live.map(\.rawValue).joined(separator: " "))\" data-seen=\"\(seen)\""
        let whole = Navigation(visit: visit, member: member, path: request.uri.path)
            .wrapped(title: title, body, above: sentence + word + mistake, live: topics)
        let response = Page(title: title, body: whole, hasForm: true, refresh: live.isEmpty ? .never : .withoutScript)
            .response
        return left == nil ? response : response.with(cookie: Cookies.set(Cookies.notice, "", seconds: 0))
    }

    /// Redirects to a page after an action, with a notice. The notice is in a cookie and not in the address: a link
    /// that somebody sends must not be able to put text on our pages.
    func back(to path: String, _ notice: String) -> Response {
        .redirect(to: path, type: .normal)
            .with(cookie: Cookies.set(Cookies.notice, FormText.encoded(notice), seconds: Self.noticeSeconds))
    }

    /// A browser follows the redirect at once. The notice is not meant for a page that is opened much later.
    private static let noticeSeconds: Int64 = 60
}

extension ReturnedForm {
    /// - Parameter refusal: the reason why it was refused.
    init(_ form: Form, to action: String, _ refusal: APIError) {
        let message = refusal.body.message
        // A message about one field begins with its name, as in the API.
        let named = message.prefix { $0 != ":" }
        let isAboutField = named.count < message.count && form.raw(String(named)) != nil
        let sentence = isAboutField ? String(message.dropFirst(named.count + 1).drop { $0 == " " }) : message
        let capital = sentence.prefix(1).uppercased() + sentence.dropFirst()
        self.init(
            action: action, values: form.values, message: capital, field: isAboutField ? String(named) : nil)
    }
}
