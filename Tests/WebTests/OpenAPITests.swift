import Database
import FoundationEssentials
import Storage
import Testing

@testable import Web

@Suite struct OpenAPITests {
    /// Every route of the router is described, and nothing else is.
    @Test func theRouterAndItsDescriptionAgree() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("postern-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let database = try Database(stateDirectory: directory)
        defer { database.close() }
        let server = await TestServer.make(database, directory)
        // OpenAPI writes {id} where the router writes :id.
        let routes = server.descriptions.map { route in
            let path = route.path.split(separator: "/").map { $0.hasPrefix(":") ? "{\($0.dropFirst())}" : String($0) }
            return "\(route.method) /\(path.joined(separator: "/"))"
        }
        #expect(Set(routes) == Set(try Self.described()))
        #expect(routes.count == Set(routes).count)
    }

    private struct Document: Decodable {
        let paths: [String: [String: Anything]]
    }

    /// Only the keys matter.
    private struct Anything: Decodable { init(from decoder: any Decoder) {} }

    private static func described() throws -> [String] {
        let text = OpenAPIRoutes.text(version: "1.2.3")
        #expect(text.contains("1.2.3"))
        let document = try JSONDecoder().decode(Document.self, from: Data(text.utf8))
        return document.paths.flatMap { path, item in
            item.keys.filter { $0 != "parameters" }.map { "\($0.uppercased()) \(path)" }
        }
    }
}
