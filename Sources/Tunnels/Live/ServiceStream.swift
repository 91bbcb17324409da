import Link
import NIOCore

/// A connection to the service behind a tunnel, which carries one request after the other.
final class ServiceStream: LinkStreamOwner {
    /// Set right after it is made.
    var stream: LinkStream?
    private let tunnel: LiveTunnel
    /// Whose request is on it; nil while it is idle.
    weak var user: (any ServiceStreamUser)?
    /// It has carried a whole exchange before.
    var wasUsed = false
    var idleSince = NIODeadline.now()
    /// The service knows its visitor by the connection (NTLM, Negotiate): no other visitor may have it, ever.
    var isBound = false
    /// What becomes of it when the last visitor has taken everything.
    private var afterwards: Afterwards?

    enum Afterwards { case keep, end }

    init(tunnel: LiveTunnel) { self.tunnel = tunnel }

    var isWritable: Bool { stream?.isWritable ?? false }

    /// The service has sent its last byte.
    var isFinished: Bool { stream?.isFinished ?? true }

    func write(_ bytes: ByteBuffer) { if let stream { tunnel.link.write(stream, bytes) } }

    func finish() { if let stream { tunnel.link.finish(stream) } }

    func consume(_ bytes: Int) {
        guard let stream else { return }
        tunnel.link.consume(stream, bytes)
        leaveWhenConsumed()
    }

    /// Whether a request can be written to it.
    var isUsable: Bool { stream.map { !$0.isClosed && !$0.isFinished } ?? false }

    /// The exchange is over. What the visitor has not taken yet still counts against the tunnel's memory, and holds up no other visitor.
    func release(_ afterwards: Afterwards) {
        user = nil
        self.afterwards = afterwards
        leaveWhenConsumed()
    }

    private func leaveWhenConsumed() {
        guard let afterwards, let stream, stream.unconsumedBytes == 0 else { return }
        self.afterwards = nil
        switch afterwards {
        case .keep: tunnel.keep(self)
        case .end: end(.cancelled)
        }
    }

    /// Gives the connection up.
    func end(_ code: ResetCode) {
        user = nil
        if let stream { tunnel.link.reset(stream, code) }
    }

    // MARK: Events

    func streamAccepted() {}

    func streamReceived(_ bytes: ByteBuffer) {
        if let user { return user.serviceReceived(bytes) }
        // Nobody asked: whatever it is must not be taken for the next answer.
        afterwards = nil
        consume(bytes.readableBytes)
        leave()
    }

    func streamFinished() { if let user { user.serviceFinished() } else { leave() } }

    func streamRejected(_ reason: LinkRejection) { user?.serviceFailed(.rejected(reason)) }

    func streamReset(_ code: ResetCode) {
        if let user { user.serviceFailed(.reset(code)) } else { tunnel.forget(self) }
    }

    func streamWritable() { user?.serviceWritable() }

    private func leave() {
        tunnel.forget(self)
        end(.cancelled)
    }
}

/// Whoever has a request on a connection to the service.
protocol ServiceStreamUser: AnyObject {
    func serviceReceived(_ bytes: ByteBuffer)
    func serviceFinished()
    func serviceFailed(_ failure: ServiceFailure)
    func serviceWritable()
}

enum ServiceFailure {
    case rejected(LinkRejection)
    case reset(ResetCode)
}
