import HTTPTypes
import Hummingbird
import NIOCore

/// What Socket.IO clients get that come without a WebSocket: the protocol's own word that this transport is not offered.
struct SocketIORoutes: Sendable {
    func add(to routes: Routes) {
        for method in [HTTPRequest.Method.get, .post] {
            routes.open(method, "/socket.io", limit: .none) { _, _ in
                Response(
                    status: .badRequest, headers: [.contentType: "application/json"],
                    body: .init(byteBuffer: ByteBuffer(string: #"{"code":0,"message":"Transport unknown"}"#)))
            }
        }
    }
}
