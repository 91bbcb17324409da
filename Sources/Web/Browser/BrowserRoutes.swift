import HTTPTypes
import Hummingbird
import NIOCore

/// `/web/…`: the files that pages load, and the two files that browsers and search engines request on their own.
struct BrowserRoutes: Sendable {
    /// A year, in seconds: the content of an address never changes.
    private static let cacheSeconds = 31_536_000

    func add(to routes: Routes) {
        routes.openPage(.get, "/web/:version/:file", limit: .none) { request, context in
            let files = BrowserFiles.all
            guard try context.parameters.require("version") == files.version,
                let file = files[try context.parameters.require("file")]
            else { throw APIError.notFound }
            return Self.response(file, for: request)
        }
        // For browsers and feed readers that look for it there. Pages contain the icon themselves.
        routes.openPage(.get, "/favicon.ico", limit: .none) { request, _ in
            guard let icon = BrowserFiles.all["icon.svg"] else { throw APIError.notFound }
            var response = Self.response(icon, for: request)
            response.headers[.cacheControl] = "public, max-age=86400"
            return response
        }
        routes.openPage(.get, "/robots.txt", limit: .none) { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "public, max-age=86400"],
                body: .init(byteBuffer: ByteBuffer(string: Self.robots)))
        }
    }

    /// Search engines may index public pages: the status, the owner's page, the documentation.
    private static let robots = """
        User-agent: *
        Allow: /$
        Allow: /status
        Allow: /about
        Allow: /docs
        Allow: /web/
        Disallow: /

        """

    private static func response(_ file: BrowserFiles.File, for request: Request) -> Response {
        let takesGzip = request.takesGzip
        var headers: HTTPFields = [
            .contentType: file.contentType, .cacheControl: "public, max-age=\(cacheSeconds), immutable",
            .vary: "Accept-Encoding",
        ]
        if takesGzip { headers[.contentEncoding] = "gzip" }
        return Response(
            status: .ok, headers: headers, body: .init(byteBuffer: takesGzip ? file.packed : file.plain))
    }
}

extension WebFeature {
    /// The files that pages load.
    static let browser = WebFeature(
        name: "browser", routes: { _, routes in BrowserRoutes().add(to: routes) })
}
