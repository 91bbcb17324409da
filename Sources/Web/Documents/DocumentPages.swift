import HTTPTypes
import Hummingbird
import Model
import NIOCore

/// `/docs`: the documentation of this version, with a search. For everybody.
struct DocumentPages: Sendable {
    /// The maximum length of a query, in characters.
    private static let greatestQuery = 100
    /// The length of the text around the first match, in characters.
    private static let excerpt = 220

    /// Unpacked when somebody reads the first page: most servers are idle for days.
    private var files: DocumentFiles { .all }

    func add(to routes: Routes) {
        routes.openPage(.get, "/docs", limit: .none) { request, _ in try show("README", request) }
        routes.openPage(.get, "/docs/:page", limit: .none) { request, context in
            try show(try context.parameters.require("page"), request)
        }
        routes.openPage(.get, "/docs/images/:file", limit: .none) { _, context in
            guard let (content, type) = files.picture(try context.parameters.require("file")) else {
                throw APIError.notFound
            }
            return Response(
                status: .ok, headers: [.contentType: type, .cacheControl: "public, max-age=3600"],
                body: .init(byteBuffer: content))
        }
    }

    private func show(_ name: String, _ request: Request) throws -> Response {
        let asked = request.sentForm["q"].map { String($0.prefix(Self.greatestQuery)) } ?? ""
        if !asked.isEmpty { return page("Search", results(asked), asked) }
        guard let document = files.page(name) else {
            if name == "README" { return page("Documentation", "<p>This build has no documentation.</p>", "") }
            throw APIError.notFound
        }
        return page(files.titles[name] ?? name, document, "")
    }

    private func page(_ title: String, _ document: HTML, _ asked: String) -> Response {
        let body: HTML = """
            <div class="alone wide"><header class="top">\(Page.brand())<a href="/docs">All pages</a>
            <form method="get" action="/docs" role="search" class="row"><label for="q" class="unseen">Search the documentation</label>\
            <input id="q" name="q" type="search" value="\(asked)" maxlength="\(Self.greatestQuery)" placeholder="Search">\
            <button>Search</button></form></header>
            <main class="document">\(document)</main>\(PublicLinks.html)</div>
            """
        let about = "\(title): documentation of Postern, self-hosted terminal sharing and tunnels."
        var response = Page(title: title, body: body, hasForm: true, description: about).response
        // After an upgrade the pages may differ.
        response.headers[.cacheControl] = "no-cache"
        return response
    }

    private func results(_ asked: String) -> HTML {
        let found = files.search(asked)
        if found.isEmpty {
            return """
                <h1>Nothing found for “\(asked)”</h1><p>Try fewer or other words, or <a href="/docs">browse all pages</a>.</p>
                """
        }
        let items = found.map { section -> HTML in
            let path = section.page == "README" ? "/docs" : "/docs/\(section.page)"
            let place = section.heading == section.pageTitle ? "" : "\(section.pageTitle): "
            return """
                <h2><a href="\(path)#\(section.anchor)">\(place)\(section.heading)</a></h2><p>\(excerpt(section.text, asked))</p>
                """
        }
        let count = found.count == 1 ? "1 result" : "\(found.count) results"
        return "<h1>\(count) for “\(asked)”</h1>\(items.joined())"
    }

    /// The text around the first of the words, with that word marked.
    private func excerpt(_ text: String, _ asked: String) -> HTML {
        let first = asked.lowercased().split(separator: " ").first.map(String.init) ?? ""
        guard !first.isEmpty, let place = text.lowercased().firstRange(of: first) else {
            return "\(text.prefix(Self.excerpt))"
        }
        let start = text.lowercased().distance(from: text.lowercased().startIndex, to: place.lowerBound)
        let before = text.dropFirst(max(0, start - 80)).prefix(min(start, 80))
        let word = text.dropFirst(start).prefix(first.count)
        let after = text.dropFirst(start + first.count).prefix(Self.excerpt)
        return "\(start > 80 ? "… " : "")\(before)<mark>\(word)</mark>\(after)\(text.count > start + 300 ? " …" : "")"
    }
}

extension WebFeature {
    /// The documentation.
    static let documents = WebFeature(name: "documents", routes: { _, routes in DocumentPages().add(to: routes) })
}
