import Background
import Synchronization
import Testing

@Suite struct BackgroundWorkTests {
    /// A door that opens once.
    private final class Gate: Sendable {
        private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

        func pass() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                defer { state.waiting = [] }
                return state.waiting
            }
            waiting.forEach { $0.resume() }
        }
    }

    @Test func theEndWaitsForWhatWasBegun() async {
        let (work, gate) = (BackgroundWork(), Gate())
        let done = Atomic(0)
        for _ in 0..<100 {
            work.run {
                await gate.pass()
                done.add(1, ordering: .relaxed)
            }
        }
        async let end: Void = work.drain()
        gate.open()
        await end
        #expect(done.load(ordering: .relaxed) == 100 && work.count == 0)
        await work.drain()
    }

    @Test func whatMayBeLeftOutHasABoundAndWhatMustNotHasNone() async {
        let (work, gate) = (BackgroundWork(capacity: 2), Gate())
        #expect(work.run { await gate.pass() } && work.run { await gate.pass() })
        #expect(!work.run { Issue.record("it ran") })
        #expect(work.run(isEssential: true) { await gate.pass() } && work.count == 3)
        gate.open()
        await work.drain()
        #expect(work.run {})
        await work.drain()
    }

    @Test func anEndThatTakesTooLongCancelsTheWork() async {
        let work = BackgroundWork()
        work.run { while !Task.isCancelled { await Task.yield() } }
        let end = Task { await work.drain() }
        end.cancel()
        await end.value
        #expect(work.count == 0)
    }
}
