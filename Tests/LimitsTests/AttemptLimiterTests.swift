import NIOCore
import Telemetry
import Testing

@testable import Limits

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
        limiter.reset("k")
        for _ in 0..<5 { #expect(at(0) == .go) }
    }

    @Test func slowAttemptsAreNotCountedTogether() {
        for round in 0..<20 { #expect(at(Int64(round) * 4) == .go) }
    }

    /// Strangers with many names or addresses shut the sign-in of everybody who came after them.
    @Test func aFullTableKeepsNobodyOutAndForgetsTheQuietest() {
        let crowded = Counter()
        let limiter = AttemptLimiter(5, per: .minutes(15)) { crowded.add() }
        for _ in 0..<6 { _ = limiter.begin("blocked", now: start) }
        for number in 0..<3 * AttemptLimiter.capacity {
            #expect(limiter.begin("stranger \(number)", now: start) == .go)
        }
        #expect(limiter.begin("newcomer", now: start) == .go)
        #expect(limiter.begin("blocked", now: start + .seconds(1)) == .wait(seconds: 899, isNew: false))
        #expect(limiter.isCrowded(now: start) && crowded.value == 1, "said once, not for each")
        #expect(!limiter.isCrowded(now: start + .minutes(16)))
    }

    @Test func askingWhetherAKeyWaitsCountsNothing() {
        for _ in 0..<20 { #expect(limiter.wait(of: "k", now: start) == nil) }
        for _ in 0..<5 { #expect(at(0) == .go) }
        _ = at(0)
        #expect(limiter.wait(of: "k", now: start + .minutes(1)) == 840)
    }

    @Test func aFullRateTableCountsIPv6ByItsLargerNetwork() {
        let limiter = RateLimiter(perMinute: 2)
        let rest = (0..<3 * RateLimiter.capacity).map { "2001:db8:\(String($0 / 4, radix: 16)):\($0 % 4)" }
        for key in rest { _ = limiter.take(key, now: start) }
        #expect(limiter.take("192.0.2.1", now: start) == nil)
        // Two of a /48, and the third of the same waits although its /64 is new.
        #expect(limiter.take("fd00:1:2:1", now: start) == nil && limiter.take("fd00:1:2:2", now: start) == nil)
        #expect(limiter.take("fd00:1:2:3", now: start) != nil)
        let key = ClientAddress("2001:db8:1:2:3:4:5:6")?.key ?? ""
        #expect(key == "2001:db8:1:2" && ClientAddress.widened(key) == "2001:db8:1")
        #expect(ClientAddress.widened("192.0.2.1") == "192.0.2.1" && ClientAddress.widened("::1") == "::1")
        // As joins and registrations count them.
        #expect(ClientAddress.widened("address 2001:db8:1:2") == "address 2001:db8:1")
    }

    @Test func oneKeyDoesNotBlockAnother() {
        for _ in 0..<6 { _ = at(0) }
        #expect(limiter.begin("other", now: start) == .go)
    }
}
