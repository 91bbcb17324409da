import Synchronization

/// A number that only increases. Any thread can count without a lock.
public final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    public init() {}

    public func add(_ amount: Int = 1) { number.add(amount, ordering: .relaxed) }

    public var value: Int { number.load(ordering: .relaxed) }
}

/// A number that increases and decreases.
public final class Gauge: Sendable {
    private let number = Atomic<Int>(0)

    public init() {}

    public func add(_ amount: Int) { number.add(amount, ordering: .relaxed) }

    public func set(_ value: Int) { number.store(value, ordering: .relaxed) }

    public var value: Int { number.load(ordering: .relaxed) }
}
