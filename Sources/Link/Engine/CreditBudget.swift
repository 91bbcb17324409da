import Synchronization

/// Memory that streams may fill: what their receivers have granted and not yet consumed. Budgets are nested: process,
/// organisation, link.
///
/// A child may take more than a quarter of its parent only while less than half of the parent is granted, so that it
/// cannot take what the others need. Shared by all event loops.
public final class CreditBudget: Sendable {
    /// In bytes.
    public let limit: Int
    private let parent: CreditBudget?
    private let granted = Atomic<Int>(0)

    /// - Parameters:
    ///   - limit: in bytes.
    ///   - parent: the budget that this one is a part of.
    public init(limit: Int, within parent: CreditBudget? = nil) {
        self.limit = limit
        self.parent = parent
    }

    /// Bytes that are granted now.
    public var grantedBytes: Int { granted.load(ordering: .relaxed) }

    /// Whether more than half is granted. Windows of streams do not grow then.
    var isShort: Bool { grantedBytes * 2 >= limit || (parent?.isShort ?? false) }

    /// Takes bytes from this budget and all its parents, or from none of them.
    func reserve(_ bytes: Int) -> Bool {
        let after = granted.wrappingAdd(bytes, ordering: .relaxed).newValue
        let isFree = after <= limit && (parent?.isFree(forChildWith: after, adding: bytes) ?? true)
        if isFree && (parent?.reserve(bytes) ?? true) { return true }
        granted.wrappingSubtract(bytes, ordering: .relaxed)
        return false
    }

    func release(_ bytes: Int) {
        granted.wrappingSubtract(bytes, ordering: .relaxed)
        parent?.release(bytes)
    }

    private func isFree(forChildWith childBytes: Int, adding bytes: Int) -> Bool {
        childBytes <= limit / 4 || grantedBytes + bytes <= limit / 2
    }
}
