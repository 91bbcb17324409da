import HTTPTypes
import Hummingbird
import NIOCore

/// `/web/…`: the files that pages load.
struct BrowserRoutes: Sendable {
    /// A year, in seconds: an address belongs to one content for good.
    private static let cacheSeconds = 31_536_000

    func add(to routes: Routes) {
        routes.openPage(.get, "/web/:version/:file", limit: .none) { request, context in
            let files = BrowserFiles.all
            guard try context.parameters.require("version") == files.version,
                let file = files[try context.parameters.require("file")]
            else { throw APIError.notFound }
            return Self.response(file, for: request)
        }
    }

    private static func response(_ file: BrowserFiles.File, for request: Request) -> Response {
        let takesGzip = request.headers[.acceptEncoding]?.split(separator: ",").contains { encoding in
            let parts = encoding.split(separator: ";").map { $0.filter { $0 != " " } }
            return parts.first?.lowercased() == "gzip" && !parts.dropFirst().contains { $0 == "q=0" || $0 == "q=0.0" }
        }
        var headers: HTTPFields = [
            .contentType: file.contentType, .cacheControl: "public, max-age=\(cacheSeconds), immutable",
            .vary: "Accept-Encoding",
        ]
        if takesGzip == true { headers[.contentEncoding] = "gzip" }
        return Response(
            status: .ok, headers: headers, body: .init(byteBuffer: takesGzip == true ? file.packed : file.plain))
    }
}

extension WebFeature {
    /// What pages load.
    static let browser = WebFeature(
        name: "browser", routes: { _, routes in BrowserRoutes().add(to: routes) })
}
