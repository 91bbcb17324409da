import NIOPosix
import Synchronization

/// Hashes and checks passwords on threads of its own, a few at once: a flood of sign-ins takes neither the event loops nor
/// the memory.
public final class PasswordHasher: Sendable {
    /// Each hash takes 32 MiB while it runs.
    private static let threads = 2
    /// Hashes that may wait: at 100 ms each, the last waits for 3 s.
    private static let queueCapacity = 64
    /// 2^15 blocks of 1 KiB; OWASP's advice for this much memory is three passes.
    private static let logarithm = 15
    private static let aimed = Duration.milliseconds(100)
    private static let passRange = 1...6

    private let pool: NIOThreadPool
    private let waiting = Atomic(0)
    /// What new hashes are made with, measured once.
    private let passes = Mutex<Int?>(nil)

    public init() {
        pool = NIOThreadPool(numberOfThreads: Self.threads)
        pool.start()
    }

    public func close() async { try? await pool.shutdownGracefully() }

    /// A new hash, as it is stored.
    /// - Throws: ``IdentityError`` `.unavailable` when too many wait.
    public func hash(_ password: String) async throws -> String {
        try await run { try PasswordHash.make(password, logarithm: Self.logarithm, passes: self.measuredPasses()).text }
    }

    /// What checking a password found.
    public struct Check: Sendable {
        public let isRight: Bool
        /// A new hash with today's parameters, where the stored one has weaker ones.
        public let rehashed: String?
    }

    /// Checks a password against a stored hash.
    /// - Parameter stored: nil where there is no such account: takes as long, and is never right.
    /// - Throws: ``IdentityError`` `.unavailable` when too many wait.
    public func check(_ password: String, against stored: String?) async throws -> Check {
        try await run {
            let passes = try self.measuredPasses()
            guard let stored, let known = PasswordHash(stored) else {
                _ = try PasswordHash.decoy(logarithm: Self.logarithm, passes: passes).matches(password)
                return Check(isRight: false, rehashed: nil)
            }
            guard try known.matches(password) else { return Check(isRight: false, rehashed: nil) }
            // All accounts' passwords take as long to check as one that does not exist.
            let isWeak = known.logarithm != Self.logarithm || known.passes != passes
            let better =
                isWeak ? try PasswordHash.make(password, logarithm: Self.logarithm, passes: passes).text : nil
            return Check(isRight: true, rehashed: better)
        }
    }

    private func run<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.queueCapacity else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            throw IdentityError(.unavailable, "Too many people sign in at once; try again in a moment.")
        }
        defer { waiting.wrappingSubtract(1, ordering: .relaxed) }
        return try await pool.runIfActive(body)
    }

    /// As many passes as take about 100 ms here.
    private func measuredPasses() throws -> Int {
        if let known = passes.withLock({ $0 }) { return known }
        let time = try ContinuousClock().measure {
            _ = try PasswordHash.make("measure", logarithm: Self.logarithm, passes: 1)
        }
        let fitting = Int((Self.aimed / time).rounded())
        let found = min(max(fitting, Self.passRange.lowerBound), Self.passRange.upperBound)
        passes.withLock { $0 = found }
        return found
    }
}
