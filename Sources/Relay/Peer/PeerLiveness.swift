import NIOCore
import Wire

/// Decides when to ping a silent peer and when to give it up. Any frame counts as a sign of life.
struct PeerLiveness {
    enum Action: Equatable {
        case ping(nextCheckIn: TimeAmount)
        case wait(TimeAmount)
        case gone
    }

    private static let pingAfter = TimeAmount.seconds(WireLimits.pingAfterSeconds)
    private static let goneAfter = TimeAmount.seconds(WireLimits.goneAfterPingSeconds)

    private var lastHeard: NIODeadline
    private var pinged = false

    init(now: NIODeadline) { lastHeard = now }

    static var firstCheck: TimeAmount { pingAfter }

    mutating func heard(now: NIODeadline) {
        lastHeard = now
        pinged = false
    }

    /// Called when the timer fires.
    mutating func check(now: NIODeadline) -> Action {
        let silent = now - lastHeard
        if pinged {
            return silent >= Self.pingAfter + Self.goneAfter ? .gone : .wait(Self.pingAfter + Self.goneAfter - silent)
        }
        if silent < Self.pingAfter { return .wait(Self.pingAfter - silent) }
        pinged = true
        return .ping(nextCheckIn: Self.goneAfter)
    }
}
