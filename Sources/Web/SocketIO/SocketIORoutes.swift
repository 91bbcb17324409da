import HTTPTypes
import Hummingbird
import NIOCore

/// What Socket.IO clients get that come without a WebSocket: the protocol's own word that this transport is not offered.
struct SocketIORoutes: Sendable {
    func add(to router: Router<WebContext>) {
        for method in [HTTPRequest.Method.get, .post] {
            router.on("/socket.io", method: method) { _, _ in
                Response(
                    status: .badRequest, headers: [.contentType: "application/json"],
                    body: .init(byteBuffer: ByteBuffer(string: #"{"code":0,"message":"Transport unknown"}"#)))
            }
        }
    }
}
