import Database
import FoundationEssentials
import Storage
import TestSupport
import Testing

@testable import Web

@Suite struct OpenAPITests {
    private struct Document: Decodable {
        let info: Info
        let paths: [String: [String: Operation]]
        let components: Components

        struct Info: Decodable { let version: String }
        struct Operation: Decodable { let operationId: String }
        struct Components: Decodable { let schemas: [String: Anything] }
        /// Only the keys matter.
        struct Anything: Decodable { init(from decoder: any Decoder) {} }
    }

    private func described() async throws -> (text: String, Document, [RouteDescription]) {
        let directory = try TemporaryDirectory.make()
        defer { TemporaryDirectory.remove(directory) }
        let database = try Database(stateDirectory: directory)
        defer { database.close() }
        let routes = await TestServer.make(database, directory).descriptions
        let text = OpenAPIDocument(version: "1.2.3", routes: routes).text
        return (text, try JSONDecoder().decode(Document.self, from: Data(text.utf8)), routes)
    }

    /// Every route of the API is described, and no page is.
    @Test func theDescriptionHasEveryRouteOfTheAPI() async throws {
        let (_, document, routes) = try await described()
        let wanted = routes.filter { !$0.isPage }.map { route in
            let path = route.path.split(separator: "/").map { $0.hasPrefix(":") ? "{\($0.dropFirst())}" : String($0) }
            return "\(route.method) /\(path.joined(separator: "/"))"
        }
        let found = document.paths.flatMap { path, item in item.keys.map { "\($0.uppercased()) \(path)" } }
        #expect(Set(found) == Set(wanted) && found.count == wanted.count)
        #expect(document.info.version == "1.2.3")
        let ids = document.paths.values.flatMap { $0.values.map(\.operationId) }
        #expect(Set(ids).count == ids.count)
    }

    @Test func everyReferenceIsDescribed() async throws {
        let (text, document, _) = try await described()
        let prefix = "\"$ref\":\"#/components/schemas/"
        let references = text.ranges(of: prefix).map { text[$0.upperBound...].prefix { $0 != "\"" } }
        #expect(references.count > 50)
        for name in Set(references) { #expect(document.components.schemas[String(name)] != nil, "\(name)") }
    }

    @Test func textIsQuotedAsJSONWants() {
        #expect(JSONValue.string("a\"\\\n\u{1}é").text == #""a\"\\\u000a\u0001é""#)
        #expect((["b": true, "a": ["x", [:]]] as JSONValue).text == #"{"a":["x",{}],"b":true}"#)
    }
}
