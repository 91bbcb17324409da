import HTTPTypes
import Hummingbird
import NIOCore

/// `/openapi.json`: the API's description, for programs.
struct OpenAPIRoutes: Sendable {
    let version: String

    func add(to routes: Routes) {
        // One buffer for all answers.
        let text = ByteBuffer(string: Self.text(version: version))
        routes.open(.get, "/openapi.json", limit: .none) { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json; charset=utf-8"], body: .init(byteBuffer: text))
        }
    }

    static func text(version: String) -> String {
        let document = String(decoding: PackageResources.openapi_json, as: UTF8.self)
        guard let place = document.firstRange(of: "VERSION") else { return document }
        return document.replacingCharacters(in: place, with: version)
    }
}

extension String {
    fileprivate func replacingCharacters(in range: Range<Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}
