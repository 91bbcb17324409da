import Model
import NIOCore
import Wire

/// Ends sessions and seats for external reasons: the plan's time limit, and revoked credentials.
extension LiveRoom {
    /// Time until the plan ends the session; nil if it does not.
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

    /// Warns one peer if the session ends soon.
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
