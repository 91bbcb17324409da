import Link
import NIOCore

/// A connection to the service behind a tunnel. It carries one request after another.
final class ServiceStream: LinkStreamOwner {
    /// Set right after creation.
    var stream: LinkStream?
    private let tunnel: LiveTunnel
    /// The user of the current request. Nil while the connection is idle.
    weak var user: (any ServiceStreamUser)?
    /// The connection has carried a complete exchange before.
    var wasUsed = false
    var idleSince = NIODeadline.now()
    /// The service identifies its visitor by the connection (NTLM, Negotiate): it must never be used for another visitor.
    var isBound = false
    /// What to do with the connection after the last visitor has read everything.
    private var afterwards: Afterwards?

    enum Afterwards { case keep, end }

    /// The tunnel's change number when the connection was opened.
    let changeNumber: Int

    init(tunnel: LiveTunnel) {
        self.tunnel = tunnel
        changeNumber = tunnel.changeNumber
    }

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

    /// The exchange is over. Bytes that the visitor has not read yet still count against the tunnel's memory, but do
    /// not delay other visitors.
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

    /// Closes the connection.
    func end(_ code: ResetCode) {
        user = nil
        if let stream { tunnel.link.reset(stream, code) }
    }

    // MARK: Events

    func streamAccepted() {}

    func streamReceived(_ bytes: ByteBuffer) {
        if let user { return user.serviceReceived(bytes) }
        // No request is waiting: these bytes must not be taken for the next response.
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

/// The owner of a request on a connection to the service.
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
