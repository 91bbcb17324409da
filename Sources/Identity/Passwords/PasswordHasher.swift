import NIOPosix
import Synchronization

/// Hashes and checks passwords with scrypt on two separate threads, so that many sign-ins do not block the event loops
/// or use up the memory.
public final class PasswordHasher: Sendable {
    /// Each hash takes 32 MiB while it runs.
    private static let threads = 2
    /// Hashes that may be queued. At 100 ms each, the last one waits 3 s.
    private static let queueCapacity = 64
    /// scrypt's N as a power of two; with r = 8 a hash uses 32 MiB.
    private static let logN = 15
    /// scrypt's p of new hashes, which is its number of passes. This follows OWASP's advice for 32 MiB. It takes about
    /// 100 ms on a server and half a second on a small board.
    private static let minParallelization = 3
    /// A stored hash can increase the passes of new hashes up to this. 0.3.0 chose up to six, depending on the
    /// machine's speed.
    private static let maxParallelization = 6

    private let pool: NIOThreadPool
    private let waiting = Atomic(0)
    /// Passes of new hashes and of checks for accounts that do not exist: those of the strongest hash seen so far, and never fewer
    /// than ``minParallelization``. They are not measured: a busy machine must not weaken a password.
    private let passes = Mutex(minParallelization)

    public init() {
        pool = NIOThreadPool(numberOfThreads: Self.threads)
        pool.start()
    }

    public func close() async { try? await pool.shutdownGracefully() }

    /// Returns a new hash for storage.
    /// - Throws: ``IdentityError`` `.unavailable` if too many are queued.
    public func hash(_ password: String) async throws -> String {
        let password = OpaqueString.prepared(password)
        return try await run { try PasswordHash.make(password, logN: Self.logN, passes: self.currentPasses).text }
    }

    /// The result of checking a password.
    public struct Check: Sendable {
        public let isRight: Bool
        /// A new hash with the current parameters; nil if the stored one is at least as strong and was made of the
        /// prepared password.
        public let rehashed: String?
    }

    /// Checks a password against a stored hash.
    /// - Parameter stored: nil if there is no such account. The check then takes as long, and always fails.
    /// - Throws: ``IdentityError`` `.unavailable` if too many are queued.
    public func check(_ password: String, against stored: String?) async throws -> Check {
        let prepared = OpaqueString.prepared(password)
        // Earlier hashes were made of the typed bytes.
        let spellings = prepared.utf8.elementsEqual(password.utf8) ? [prepared] : [prepared, password]
        return try await run {
            guard let stored, let known = PasswordHash(stored) else {
                for spelling in spellings {
                    _ = try PasswordHash.decoy(logN: Self.logN, passes: self.currentPasses).matches(spelling)
                }
                return Check(isRight: false, rehashed: nil)
            }
            // Also for a wrong password: the time of the next answer must not tell which accounts exist.
            let passes = self.raisePasses(to: known)
            guard let right = try spellings.first(where: { try known.matches($0) }) else {
                return Check(isRight: false, rehashed: nil)
            }
            // Parameters only increase: a hash that is stronger than the policy requires is kept.
            let isWeak = known.logN < Self.logN || known.passes < passes
            let isOld = !right.utf8.elementsEqual(prepared.utf8)
            let better =
                isWeak || isOld ? try PasswordHash.make(prepared, logN: Self.logN, passes: passes).text : nil
            return Check(isRight: true, rehashed: better)
        }
    }

    private func run<Success: Sendable>(_ body: @escaping @Sendable () throws -> Success) async throws -> Success {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= Self.queueCapacity else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            throw IdentityError(.unavailable, "Too many sign-ins at once; try again in a moment.")
        }
        defer { waiting.wrappingSubtract(1, ordering: .relaxed) }
        return try await pool.runIfActive(body)
    }

    private var currentPasses: Int { passes.withLock { $0 } }

    /// Once the strongest hash was seen, checks of all accounts take the same time.
    private func raisePasses(to known: PasswordHash) -> Int {
        passes.withLock { passes in
            if known.logN >= Self.logN { passes = max(passes, min(known.passes, Self.maxParallelization)) }
            return passes
        }
    }
}
