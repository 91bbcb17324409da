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
    /// What the person is in the organisation that this browser is in; nil where it is deleted.
    let member: Member?
    /// Empty but for POST.
    let form: Form
    /// How far the feed of changes was before anything of the page was read; see ``ChangeFeed/position``.
    let seen: String
    /// A form of this page that was not taken.
    var returned: ReturnedForm?

    var caller: Caller { visit.caller }
    var token: FormToken { visit.formToken }

    func may(_ key: PermissionKey) -> Bool { member?.may(key) ?? false }

    /// A form of this page.
    func form(_ action: String) -> FormView { FormView(action, visit.formToken, returned) }

    /// A form that stands on this page once for each of several things.
    /// - Parameter id: what its field `id` says.
    func form(_ action: String, of id: String) -> FormView {
        FormView(action, visit.formToken, returned?.values["id"]?.first == id ? returned : nil)
    }

    /// A field of the query.
    func query(_ name: String) -> String? {
        request.sentForm[name]
    }

    /// A page with the person's navigation. It shows the notice of the page before, once.
    /// - Parameter live: what the page follows while it is open; see ``ChangeTopic``.
    func page(_ title: String, _ body: HTML, lead: String? = nil, live: [ChangeTopic] = []) -> Response {
        let left = Cookies.value(Cookies.notice, of: request).map { FormText.decoded($0[...]) }
        let word: HTML = left.map { Panel.notice("<p>\($0)</p>", .ok) } ?? ""
        let mistake: HTML = returned.map { Panel.notice("<p>\($0.message)</p>", .bad, role: "alert") } ?? ""
        let sentence: HTML = lead.map { "<p class=\"lead\">\($0)</p>" } ?? ""
        // A form that came back has an address that is no page.
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

    /// Back to a page after something was done, with a notice about it. The notice is in a cookie and not in the address: a link that
    /// somebody sends must not put words into a page of ours.
    func back(to path: String, _ notice: String) -> Response {
        .redirect(to: path, type: .normal)
            .with(cookie: Cookies.set(Cookies.notice, FormText.encoded(notice), seconds: Self.noticeSeconds))
    }

    /// A browser follows the redirect at once; a page opened much later has nothing to do with the notice.
    private static let noticeSeconds: Int64 = 60
}

extension ReturnedForm {
    /// - Parameter refusal: why it was not taken.
    init(_ form: Form, to action: String, _ refusal: APIError) {
        let message = refusal.body.message
        // Messages about one field begin with its name, as the API's do.
        let named = message.prefix { $0 != ":" }
        let isAboutField = named.count < message.count && form.raw(String(named)) != nil
        let sentence = isAboutField ? String(message.dropFirst(named.count + 1).drop { $0 == " " }) : message
        let capital = sentence.prefix(1).uppercased() + sentence.dropFirst()
        self.init(
            action: action, values: form.values, message: capital, field: isAboutField ? String(named) : nil)
    }
}
