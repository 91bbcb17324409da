import Glibc
import Model
import NIOCore
import Wire

/// Carries out what ``WebhookVerifier`` decides, between a stream of the link and the connection to the service.
final class WebhookHandler: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var verifier: WebhookVerifier
    private static let reasons = [
        400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 413: "Content Too Large",
    ]

    init(_ signature: WebhookSignature) { verifier = WebhookVerifier(signature) }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let actions = verifier.receive(unwrapOutboundIn(data), now: time(nil))
        // The bytes are taken, whether they are held or sent: otherwise the visitor could not send the rest.
        promise?.succeed()
        for action in actions {
            switch action {
            case .forward(let bytes): context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            case .refuse(let status, let code, let message): refuse(context, status, code, message)
            }
        }
    }

    /// Answers in the service's place.
    private func refuse(_ context: ChannelHandlerContext, _ status: Int, _ code: String, _ message: String) {
        let body = JSONText.encode(ErrorResource(statusCode: status, message: message, code: "POSTERN-\(code)"))
        var out = ByteBuffer(
            string: """
                HTTP/1.1 \(status) \(Self.reasons[status] ?? "")\r\nContent-Type: application/json\r
                Content-Length: \(body.readableBytes)\r\nConnection: close\r\n\r\n
                """)
        out.writeImmutableBuffer(body)
        context.fireChannelRead(NIOAny(out))
        context.fireChannelReadComplete()
        // The server ends the stream once it has the answer, and the connection to the service with it.
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
}
