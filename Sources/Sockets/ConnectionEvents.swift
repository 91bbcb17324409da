import Glibc
public import Logging
import NIOCore
import Synchronization
public import Telemetry
import TransportSecurity

/// Counts and logs connections that were refused, slow, malformed or failed, and requests that failed.
public final class ConnectionEvents: Sendable {
    private let metrics: ConnectionMetrics
    private let logger: Logger
    private let refusedLines = RepeatedEvent("connections refused: too many at once from one address")
    private let slowLines = RepeatedEvent("connections cut: no whole request within the time for one")
    private let malformedLines = RepeatedEvent("connections closed: not valid HTTP")
    private let handshakeLines = RepeatedEvent("TLS handshakes failed")
    private let unusedLines = RepeatedEvent("connections ended before they asked for anything", level: .info)
    private let acceptLines = RepeatedEvent("connections cannot be accepted", level: .error)
    private let largeLines = RepeatedEvent("bodies refused: longer than a body may be")
    /// Each is for its owner to look at, and a database that is gone makes one of every request.
    private let failureLines = RepeatedEvent("request failed", level: .error, linesAtMost: 20)
    private let databaseLines = RepeatedEvent("the database does not answer", level: .error)

    private let wantsAddresses: Atomic<Bool>

    /// Whether clients' addresses may be logged.
    public var logAddresses: Bool {
        get { wantsAddresses.load(ordering: .relaxed) }
        set { wantsAddresses.store(newValue, ordering: .relaxed) }
    }

    public init(metrics: ConnectionMetrics, logger: Logger, logAddresses: Bool) {
        self.metrics = metrics
        self.logger = logger
        wantsAddresses = Atomic(logAddresses)
    }

    func refused(_ address: String) {
        metrics.refused.add()
        refusedLines.note(logger, metadata: logAddresses ? ["address": "\(address)"] : [:])
    }

    func slow() {
        metrics.slowRequests.add()
        slowLines.note(logger)
    }

    /// Half open, or a look at the port: gone before a first request was whole.
    func unused() {
        metrics.unused.add()
        unusedLines.note(logger)
    }

    /// No descriptor or memory was left for a connection.
    func acceptFailed(_ error: IOError) {
        metrics.acceptFailures.add()
        acceptLines.note(
            logger,
            metadata: [
                "error": "\(String(cString: strerror(error.errnoCode)).lowercased())", "remedy": "raise LimitNOFILE",
            ])
    }

    public func tooLarge() {
        metrics.largeBodies.add()
        largeLines.note(logger)
    }

    public func requestFailed(_ logger: Logger, metadata: Logger.Metadata) {
        failureLines.note(logger, metadata: metadata)
    }

    public func databaseFailed(_ error: any Error) { databaseLines.note(logger, metadata: ["error": "\(error)"]) }

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
