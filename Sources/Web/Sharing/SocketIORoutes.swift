import HTTPTypes
import Hummingbird
import NIOCore

/// What Socket.IO clients get that come without a WebSocket: the protocol's own word that this transport is not offered.
struct SocketIORoutes: Sendable {
    func add(to routes: Routes) {
        for method in [HTTPRequest.Method.get, .post] {
            let about = RouteText(
                "Where Socket.IO clients connect by WebSocket (docs/protocol.md); long polling is not offered.",
                .json(
                    400, .object([.field("code", .integer), .field("message", .string)]),
                    "The protocol's own refusal of a transport."))
            routes.open(method, "/socket.io", limit: .none, about: about) { _, _ in
                Response(
                    status: .badRequest, headers: [.contentType: "application/json"],
                    body: .init(byteBuffer: ByteBuffer(string: #"{"code":0,"message":"Transport unknown"}"#)))
            }
        }
    }
}
