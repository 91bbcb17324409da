import HTTPTypes
import Hummingbird
import NIOCore

/// `/openapi.json`: the API's description, for programs. Added after all other routes, which it describes.
struct OpenAPIRoutes: Sendable {
    let version: String

    func add(to routes: Routes) {
        let about = RouteText("The OpenAPI description", .json(200, .object([]), "OpenAPI 3.1."))
        let own = RouteDescription(
            method: "GET", path: "/openapi.json", access: .anyone, isPage: false, about: about)
        // One buffer for all responses.
        let document = OpenAPIDocument(version: version, routes: routes.descriptions + [own])
        let text = ByteBuffer(string: document.text)
        routes.open(.get, own.path, limit: .none, about: about) { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json; charset=utf-8"], body: .init(byteBuffer: text))
        }
    }
}
