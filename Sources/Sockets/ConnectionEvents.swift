import Glibc
public import Logging
import NIOCore
import Synchronization
public import Telemetry
public import TransportSecurity

/// Counts and logs connections that were refused, slow, malformed or failed, and requests that failed.
public final class ConnectionEvents: Sendable {
    private let metrics: ConnectionMetrics
    private let logger: Logger
    private let refusedLines = RateLimitedLog("connections refused: too many at once from one address")
    private let slowLines = RateLimitedLog("connections closed: no complete request within the time limit")
    private let malformedLines = RateLimitedLog("connections closed: not valid HTTP")
    private let handshakeLines = RateLimitedLog("TLS handshakes failed")
    private let unusedLines = RateLimitedLog("connections ended before their first request", level: .info)
    private let acceptLines = RateLimitedLog("connections cannot be accepted", level: .error)
    private let largeLines = RateLimitedLog("bodies refused: too large")
    /// The owner should see each failure, but every request fails while the database is unavailable.
    private let failureLines = RateLimitedLog("request failed", level: .error, linesAtMost: 20)
    private let databaseLines = RateLimitedLog("the database does not respond", level: .error)

    private let wantsAddresses: Atomic<Bool>

    /// Whether client addresses may be logged.
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
        refusedLines.log(to: logger, metadata: logAddresses ? ["address": "\(address)"] : [:])
    }

    func slow() {
        metrics.slowRequests.add()
        slowLines.log(to: logger)
    }

    /// The connection ended before its first request was complete: it was half open, or a port scan.
    func unused() {
        metrics.unused.add()
        unusedLines.log(to: logger)
    }

    /// No descriptor or memory was available for a connection.
    func acceptFailed(_ error: IOError) {
        metrics.acceptFailures.add()
        acceptLines.log(
            to: logger,
            metadata: [
                "error": "\(String(cString: strerror(error.errnoCode)).lowercased())", "remedy": "raise LimitNOFILE",
            ])
    }

    public func tooLarge() {
        metrics.largeBodies.add()
        largeLines.log(to: logger)
    }

    public func requestFailed(_ logger: Logger, metadata: Logger.Metadata) {
        failureLines.log(to: logger, metadata: metadata)
    }

    public func databaseFailed(_ error: any Error) { databaseLines.log(to: logger, metadata: ["error": "\(error)"]) }

    func malformed() {
        metrics.badRequests.add()
        malformedLines.log(to: logger)
    }

    /// Handles an error of a pipeline: counts input that is not HTTP, but not ordinary disconnects.
    func failed(_ error: any Error) {
        if error is TLSError || error is ChannelError || error is IOError { return }
        malformed()
    }

    public func handshake(_ outcome: TLSHandler.Outcome) {
        switch outcome {
        case .full: metrics.handshakesFull.add()
        case .resumed: metrics.handshakesResumed.add()
        case .failed:
            metrics.handshakesFailed.add()
            handshakeLines.log(to: logger)
        }
    }
}
