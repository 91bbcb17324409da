import NIOCore
import Testing

@testable import Relay

@Suite struct BroadcastPacingTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test func aPauseSavesUpForEightWritesAndNoMore() {
        var pacing = BroadcastPacing()
        for number in 1...8 {
            #expect(pacing.isDue(now), "write \(number)")
            pacing.left(now)
        }
        #expect(pacing.isDue(now))
        pacing.left(now)
        #expect(!pacing.isDue(now) && pacing.isDue(now + RelayConfiguration.coalesceInterval))
    }

    @Test func fullBatchesPutNothingOffForLongerThanOnce() {
        var pacing = BroadcastPacing()
        for _ in 0..<100_000 { pacing.left(now) }
        #expect(pacing.next == now + RelayConfiguration.coalesceInterval)
    }

    @Test func whoSendsWithoutAPauseWritesOncePerJoinTime() {
        var (pacing, writes) = (BroadcastPacing(), 0)
        for microsecond in 0..<100_000 {
            let now = now + .microseconds(Int64(microsecond))
            guard pacing.isDue(now) else { continue }
            pacing.left(now)
            writes += 1
        }
        #expect((1000...1010).contains(writes))
    }
}
