import Logging
import Telemetry

/// The edge's log. Lines that visitors or machines could cause without limit are counted instead.
struct TunnelLog: Sendable {
    let logger: Logger
    private let refused = RateLimitedLog("links refused")
    private let broken = RateLimitedLog("links broke the protocol")
    private let noPort = RateLimitedLog("cannot open a port for a tunnel", level: .error)

    init(logger: Logger) { self.logger = logger }

    func linkRefused(_ reason: String) { refused.log(to: logger, metadata: ["reason": "\(reason)"]) }

    func linkBroken(_ reason: String) { broken.log(to: logger, metadata: ["reason": "\(reason)"]) }

    func portFailed(_ port: Int, _ error: any Error) {
        noPort.log(to: logger, metadata: ["port": "\(port)", "error": "\(error)"])
    }

    func started(_ grant: TunnelGrant, place: String) {
        logger.info("tunnel connected", metadata: ["tunnel": "\(grant.id)", "place": "\(place)"])
    }

    func ended(_ grant: TunnelGrant, reason: String) {
        logger.info("tunnel ended", metadata: ["tunnel": "\(grant.id)", "reason": "\(reason)"])
    }
}
