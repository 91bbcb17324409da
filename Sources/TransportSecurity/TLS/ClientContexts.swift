import Synchronization

/// Creates each client context once: reading the system's authorities takes about 20 ms and a megabyte.
public enum ClientContexts {
    private static let made = Mutex<[(trust: TLSContext.Trust, context: TLSContext)]>([])

    /// - Throws: ``TLSError``.
    public static func context(_ trust: TLSContext.Trust) throws(TLSError) -> TLSContext {
        try made.withLock { made throws(TLSError) in
            if let known = made.first(where: { $0.trust == trust }) { return known.context }
            let context = try TLSContext.client(trust: trust)
            made.append((trust, context))
            return context
        }
    }
}
