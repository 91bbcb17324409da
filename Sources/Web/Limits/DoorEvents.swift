import Logging
import NIOCore
import Synchronization
import Telemetry
import TransportSecurity

/// Says that something keeps happening, at most once in ``interval``: a flood must not become a flood of log lines.
final class RepeatedEvent: Sendable {
    private static let interval = TimeAmount.seconds(10)
    private let message: Logger.Message
    private let state = Mutex<(last: NIODeadline?, unsaid: Int)>((nil, 0))

    init(_ message: Logger.Message) { self.message = message }

    func note(_ logger: Logger) {
        let count = state.withLock { state -> Int? in
            state.unsaid += 1
            if let last = state.last, NIODeadline.now() - last < Self.interval { return nil }
            defer { state = (.now(), 0) }
            return state.unsaid
        }
        if let count { logger.warning(message, metadata: ["count": "\(count)"]) }
    }
}

/// What happens at the front door and is worth a line and a number: attacks, and clients in trouble.
final class DoorEvents: Sendable {
    private let metrics: ServerMetrics
    private let logger: Logger
    private let refusedLines = RepeatedEvent("connections refused: too many at once from one address")
    private let slowLines = RepeatedEvent("connections cut: no whole request within the time for one")
    private let malformedLines = RepeatedEvent("connections closed: not valid HTTP")
    private let handshakeLines = RepeatedEvent("TLS handshakes failed")

    init(metrics: ServerMetrics, logger: Logger) {
        self.metrics = metrics
        self.logger = logger
    }

    func refused() {
        metrics.connectionsRefused.add()
        refusedLines.note(logger)
    }

    func slow() {
        metrics.slowRequests.add()
        slowLines.note(logger)
    }

    func malformed() {
        metrics.badRequests.add()
        malformedLines.note(logger)
    }

    /// A pipeline's error: what is not HTTP counts, connections that end as networks end do not.
    func failed(_ error: any Error) {
        if error is TLSError || error is ChannelError || error is IOError { return }
        malformed()
    }

    func handshake(_ outcome: TLSHandler.Outcome) {
        switch outcome {
        case .full: metrics.handshakesFull.add()
        case .resumed: metrics.handshakesResumed.add()
        case .failed:
            metrics.handshakesFailed.add()
            handshakeLines.note(logger)
        }
    }
}
