import NIOCore
import Testing

@testable import Tunnels

@Suite struct LinkTakeoversTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func after(_ seconds: Int64) -> NIODeadline { start + .seconds(seconds) }

    @Test func oneMachineWithABadNetworkIsNeverHeld() {
        var takeovers = LinkTakeovers()
        for second in 0..<100 {
            #expect(
                takeovers.replace(machine: "m", instance: "one", before: "one", now: after(Int64(second))) == .takeOver)
        }
        // Its agent crashes and starts again and again.
        for second in 0..<100 {
            let decision = takeovers.replace(
                machine: "m", instance: "\(second + 1)", before: "\(second)", now: after(Int64(200 + second)))
            #expect(decision == .takeOver)
        }
    }

    @Test func twoThatTakeTurnsAreHeldForAMinuteAndToldOnce() {
        var takeovers = LinkTakeovers()
        for turn in 0..<5 {
            let (one, other) = turn % 2 == 0 ? ("b", "a") : ("a", "b")
            #expect(takeovers.replace(machine: "m", instance: one, before: other, now: after(Int64(turn))) == .takeOver)
        }
        #expect(
            takeovers.replace(machine: "m", instance: "a", before: "b", now: after(5)) == .holdAndTell(.seconds(60)))
        #expect(takeovers.hold(of: "m", now: after(10)) == .seconds(55))
        #expect(takeovers.replace(machine: "m", instance: "b", before: "a", now: after(10)) == .hold(.seconds(55)))
        #expect(takeovers.hold(of: "m", now: after(65)) == nil)
        #expect(takeovers.hold(of: "other", now: after(10)) == nil)
        #expect(takeovers.replace(machine: "m", instance: "b", before: "a", now: after(66)) == .takeOver)
    }

    @Test func slowTurnsAreNoProof() {
        var takeovers = LinkTakeovers()
        for turn in 0..<20 {
            let (one, other) = turn % 2 == 0 ? ("b", "a") : ("a", "b")
            #expect(
                takeovers.replace(machine: "m", instance: one, before: other, now: after(Int64(turn * 20))) == .takeOver
            )
        }
        takeovers.clearAway(now: after(1000))
    }
}
