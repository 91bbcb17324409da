import Testing

@testable import Outbound

@Suite struct ConnectionPoolTests {
    private typealias Pool = ConnectionPool<String, Int>

    @Test func theLastUsedIsTakenFirst() {
        var pool = Pool(bounds: .init(idle: 100))
        _ = pool.give(1, for: "a", now: 0)
        _ = pool.give(2, for: "a", now: 1)
        _ = pool.give(3, for: "b", now: 2)
        #expect(pool.take("a") == 2)
        #expect(pool.take("a") == 1)
        #expect(pool.take("a") == nil)
        #expect(pool.take("b") == 3)
    }

    @Test func boundsCloseTheOldest() {
        var pool = Pool(bounds: .init(perKey: 2, total: 3, idle: 100))
        #expect(pool.give(1, for: "a", now: 0).closing.isEmpty)
        #expect(pool.give(2, for: "a", now: 0).closing.isEmpty)
        #expect(pool.give(3, for: "a", now: 0).closing == [1])
        #expect(pool.give(4, for: "b", now: 0).closing.isEmpty)
        #expect(pool.give(5, for: "c", now: 0).closing == [2])
        #expect(pool.count == 3)
    }

    @Test func idleConnectionsExpireAndClosedOnesAreForgotten() {
        var pool = Pool(bounds: .init(perKey: 4, total: 4, idle: 100))
        _ = pool.give(1, for: "a", now: 0)
        let second = pool.give(2, for: "a", now: 50).number
        #expect(pool.expire(now: 99).isEmpty)
        #expect(pool.expire(now: 100) == [1])
        pool.remove(second)
        #expect(pool.take("a") == nil)
    }
}
