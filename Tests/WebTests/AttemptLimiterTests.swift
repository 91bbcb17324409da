import NIOCore
import Testing

@testable import Web

@Suite struct AttemptLimiterTests {
    private let limiter = AttemptLimiter(5, per: .minutes(15))
    private let start = NIODeadline.now()

    private func at(_ minutes: Int64) -> AttemptLimiter.Outcome { limiter.begin("k", now: start + .minutes(minutes)) }

    @Test func fiveMayTryAndThenTheWaitDoublesEachTime() {
        for _ in 0..<5 { #expect(at(0) == .go) }
        #expect(at(0) == .wait(seconds: 900, isNew: true))
        #expect(at(1) == .wait(seconds: 840, isNew: false))
        for _ in 0..<5 { #expect(at(15) == .go) }
        #expect(at(15) == .wait(seconds: 1800, isNew: true))
        for _ in 0..<5 { #expect(at(45) == .go) }
        #expect(at(45) == .wait(seconds: 3600, isNew: true))
    }

    @Test func whoWaitsLongEnoughStartsAnew() {
        for _ in 0..<6 { _ = at(0) }
        #expect(at(46) == .go)
        for _ in 0..<4 { #expect(at(46) == .go) }
        #expect(at(46) == .wait(seconds: 900, isNew: true))
    }

    @Test func aSuccessIsNoGuess() {
        for _ in 0..<4 { _ = at(0) }
        limiter.succeeded("k")
        for _ in 0..<5 { #expect(at(0) == .go) }
    }

    @Test func slowAttemptsAreNotCountedTogether() {
        for round in 0..<20 { #expect(at(Int64(round) * 4) == .go) }
    }

    @Test func oneKeyDoesNotBlockAnother() {
        for _ in 0..<6 { _ = at(0) }
        #expect(limiter.begin("other", now: start) == .go)
    }
}
