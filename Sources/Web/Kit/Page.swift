import HTTPTypes
import Hummingbird
import Model
import NIOCore

/// An HTML page with one style sheet and one script from this server. It loads nothing from other servers and is readable without either.
struct Page {
    let title: String
    /// The content of `body`: see ``alone(_:isWide:)`` and ``Navigation``.
    let body: HTML
    /// Whether the page may send its own form to this server.
    var hasForm = false
    /// The description for search engines and for previews of links. Nil for pages that are not public.
    var description: String?
    enum Refresh {
        case never
        /// Only if the page's script does not run.
        case withoutScript
        /// Always: for a page without fields.
        case always
    }

    /// Whether the browser reloads the page every few seconds.
    var refresh = Refresh.never

    /// Included in the page: it is small and saves a request. The same picture is in ``brand``.
    private static let icon: HTML = """
        data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' \
        fill='%230b5cad'/%3E%3Cpath d='M4 5l3 3-3 3M8.5 11.5H12' fill='none' stroke='%23fff' stroke-width='1.6'/%3E%3C/svg%3E
        """

    static let mark: HTML = """
        <svg viewBox="0 0 16 16" aria-hidden="true"><rect width="16" height="16" rx="3" fill="#0b5cad"/>\
        <path d="M4 5l3 3-3 3M8.5 11.5H12" fill="none" stroke="#fff" stroke-width="1.6"/></svg>
        """

    /// The product's name, as a link to its first page.
    static func brand(_ path: String = "/") -> HTML { "<p class=\"brand\"><a href=\"\(path)\">\(mark)Postern</a></p>" }

    /// A page without navigation, for people who are not signed in.
    static func alone(_ content: HTML, isWide: Bool = false) -> HTML {
        "<div class=\"alone\(" wide", if: isWide)\"><header>\(brand())</header><main>\(content)</main></div>"
    }

    /// The maximum age of a page that shows current activity, in seconds.
    private static let refreshSeconds = 10

    var response: Response {
        let files = BrowserFiles.all
        let about: HTML =
            description.map {
                """
                <meta name="description" content="\($0)"><meta property="og:title" content="\(title) · Postern">\
                <meta property="og:description" content="\($0)"><meta property="og:type" content="website">
                """
            } ?? "<meta name=\"robots\" content=\"noindex\">"
        let again: HTML = "<meta http-equiv=\"refresh\" content=\"\(Self.refreshSeconds)\">"
        let refresh: HTML =
            switch self.refresh {
            case .never: ""
            case .withoutScript: "<noscript>\(again)</noscript>"
            case .always: again
            }
        let html: HTML = """
            <!doctype html><html lang="en"><head><meta charset="utf-8">\
            <meta name="viewport" content="width=device-width,initial-scale=1">
            <title>\(title) · Postern</title>\(about)\(refresh)<link rel="icon" href="\(Self.icon)">\
            <link rel="stylesheet" href="\(files.path("pages.css"))">\
            <script type="module" src="\(files.path("pages.js"))"></script></head><body>\(body)</body></html>
            """
        let form = hasForm ? "'self'" : "'none'"
        let headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8",
            .contentSecurityPolicy: "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
                + "img-src 'self' data:; form-action \(form); frame-ancestors 'none'; base-uri 'none'",
            // With a form, the browser sends the form's address only to this server. A secret in an address is not sent to other servers.
            .referrerPolicy: hasForm ? "same-origin" : "no-referrer",
        ]
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html.text)))
    }
}
