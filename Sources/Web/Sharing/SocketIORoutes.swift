import HTTPTypes
import Hummingbird
import NIOCore

/// The response to Socket.IO clients that do not use WebSocket: the protocol's error for an unsupported transport.
struct SocketIORoutes: Sendable {
    func add(to routes: Routes) {
        for method in [HTTPRequest.Method.get, .post] {
            let about = RouteText(
                "The WebSocket endpoint for Socket.IO clients (docs/protocol.md); long polling is not supported.",
                .json(
                    400, .object([.field("code", .integer), .field("message", .string)]),
                    "The protocol's error for an unsupported transport."))
            routes.open(method, "/socket.io", limit: .none, about: about) { _, _ in
                Response(
                    status: .badRequest, headers: [.contentType: "application/json"],
                    body: .init(byteBuffer: ByteBuffer(string: #"{"code":0,"message":"Transport unknown"}"#)))
            }
        }
    }
}
