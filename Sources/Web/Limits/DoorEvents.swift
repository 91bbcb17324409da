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

    /// - Parameter address: of the one that was last, where it may be logged.
    func note(_ logger: Logger, address: String? = nil) {
        let count = state.withLock { state -> Int? in
            state.unsaid += 1
            if let last = state.last, NIODeadline.now() - last < Self.interval { return nil }
            defer { state = (.now(), 0) }
            return state.unsaid
        }
        guard let count else { return }
        var metadata: Logger.Metadata = ["count": "\(count)"]
        if let address { metadata["address"] = "\(address)" }
        logger.warning(message, metadata: metadata)
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

    private let logAddresses: Bool

    init(metrics: ServerMetrics, logger: Logger, logAddresses: Bool) {
        self.metrics = metrics
        self.logger = logger
        self.logAddresses = logAddresses
    }

    func refused(_ address: String) {
        metrics.connectionsRefused.add()
        refusedLines.note(logger, address: logAddresses ? address : nil)
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
