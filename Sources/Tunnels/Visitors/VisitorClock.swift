import Model
import NIOCore

/// One deadline of a visitor's connection at a time. It changes several times per request. The timer is set again only
/// if it fires too early.
struct VisitorClock {
    enum Kind: Equatable {
        /// From the connection to the first byte of a request.
        case firstRequest
        /// Between requests.
        case idle
        /// From the first byte of a head to its end.
        case head
        /// From one write of the last answer to the next.
        case flush
        /// From one read of a request's content to the next.
        case content
        /// From the end of the request to the answer's head.
        case answer(TimeAmount)

        var time: TimeAmount {
            switch self {
            case .firstRequest, .head: .seconds(15)
            case .idle, .flush: .seconds(60)
            case .content: .seconds(30)
            case .answer(let time): time
            }
        }
    }

    enum Fired { case nothing, again(NIODeadline), passed(Kind) }

    private var current: (deadline: NIODeadline, kind: Kind)?
    /// Set by the code that starts it.
    var timer: Scheduled<Void>?
    private var timerDeadline: NIODeadline?

    var isReadingHead: Bool { current?.kind == .head }

    /// - Returns: the time at which a new timer must fire. Nil if a running timer fires early enough.
    mutating func set(_ kind: Kind, now: NIODeadline) -> NIODeadline? {
        let deadline = now + kind.time
        current = (deadline, kind)
        if let timerDeadline, timerDeadline <= deadline { return nil }
        timer?.cancel()
        timerDeadline = deadline
        return deadline
    }

    mutating func clear() { current = nil }

    mutating func stop() {
        current = nil
        timer?.cancel()
        timer = nil
        timerDeadline = nil
    }

    mutating func fired(now: NIODeadline) -> Fired {
        timerDeadline = nil
        guard let current else { return .nothing }
        guard now >= current.deadline else {
            timerDeadline = current.deadline
            return .again(current.deadline)
        }
        self.current = nil
        return .passed(current.kind)
    }
}
