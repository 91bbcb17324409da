import Model
import NIOCore
import Wire

/// What ends a session or a seat from outside: the plan's time, and credentials that are revoked.
extension LiveRoom {
    /// Milliseconds until the plan ends the session; nil where it does not.
    private var timeLeft: TimeAmount? {
        timeLimit.map { .milliseconds($0.endsAtMilliseconds - ISOTime.millisecondsNow) }
    }

    func limit(_ limit: TimeLimit?) {
        timeLimit = limit
        guard let left = timeLeft else { return }
        let warning = left - RelayConfiguration.endWarning
        if warning.nanoseconds > 0 {
            after(warning) { live in live.links.values.forEach { live.warnOfEnd($0.peer) } }
        }
        after(max(left, .zero)) { $0.carryOut($0.room.end(.timeLimit)) }
    }

    /// Tells one peer how long the session still lasts, if that is not long.
    func warnOfEnd(_ peer: PeerHandler) {
        guard let left = timeLeft, left <= RelayConfiguration.endWarning + .seconds(1) else { return }
        let seconds = max(0, Int((left.nanoseconds + 500_000_000) / 1_000_000_000))
        var warning = ServerMessage.warning(
            code: "session_time_left", "This session ends in \(seconds) s: \(timeLimit?.reason ?? "")")
        warning.secondsLeft = seconds
        peer.say(warning)
    }

    func revoke(_ peers: RevokedPeers) {
        flushBatch()
        carryOut(room.revoke(peers))
    }
}
