import Database
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Model
import NIOCore
import NIOEmbedded
import Storage
import TestSupport

@testable import Web

/// Requests to a server's routes in this process, without a socket: routing, access, limits, handlers and error shapes.
final class TestClient {
    struct Answer {
        let status: Int
        let headers: HTTPFields
        let body: String
    }

    private struct Collector: ResponseBodyWriter {
        final class Collected { var bytes = ByteBuffer() }
        let collected = Collected()

        func write(_ buffer: ByteBuffer) { collected.bytes.writeImmutableBuffer(buffer) }
        consuming func finish(_ trailingHeaders: HTTPFields?) {}
    }

    let database: Database
    private let directory: String
    private let server: WebServer
    private let channel = EmbeddedChannel()

    init() async throws {
        directory = try TemporaryDirectory.make()
        database = try Database(stateDirectory: directory)
        server = await TestServer.make(database, directory)
    }

    deinit {
        database.close()
        TemporaryDirectory.remove(directory)
    }

    /// An account and an API token of its own.
    func account(_ name: String, isAdmin: Bool = false) async throws -> (user: User, token: String) {
        try await database.write {
            let user = try User.create(username: name, isAdmin: isAdmin, now: .now(), in: $0)
            return (user, try APIToken.create(name: "test", userId: user.id, now: .now(), in: $0).secret)
        }
    }

    func call(
        _ method: HTTPRequest.Method, _ path: String, token: String? = nil, body: String = "",
        headers: HTTPFields = [:]
    ) async throws -> Answer {
        var fields = headers
        if let token { fields[.authorization] = "Bearer \(token)" }
        let request = Request(
            head: HTTPRequest(method: method, scheme: "http", authority: "box", path: path, headerFields: fields),
            body: RequestBody(buffer: ByteBuffer(string: body)))
        var logger = Logger(label: "test")
        // Where the context keeps the request's id.
        logger[metadataKey: "hb.request.id"] = .string("test")
        let context = WebContext(source: .init(channel: channel, logger: logger))
        let response = try await server.responder.respond(to: request, context: context)
        let collector = Collector()
        try await response.body.write(collector)
        return Answer(
            status: response.status.code, headers: response.headers, body: String(buffer: collector.collected.bytes))
    }
}
