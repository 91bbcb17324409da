public import Database
public import Model

/// What is kept only because it happened: ended share sessions with their codes and seats, used links and invitations.
///
/// Sums of what was used are in the ledger, and who did what is in the audit log; both stay.
public enum History {
    /// Links and invitations that are used or too old are shown to nobody, in seconds: a month.
    private static let linkSeconds: Int64 = 30 * 86_400

    /// Removes a batch of what ended longer ago.
    /// - Parameter days: 0 keeps everything.
    /// - Returns: how many rows were removed; call again until it is 0.
    public static func clearAway(olderThan days: Int, now: Timestamp, in database: Transaction) throws -> Int {
        let cutoffs = RetentionCutoffs(
            history: days > 0 ? now.advanced(bySeconds: -Int64(days) * 86_400) : nil,
            links: now.advanced(bySeconds: -linkSeconds),
            names: now.advanced(bySeconds: -Tunnel.reservedSeconds))
        return try StorageFeature.all.reduce(0) { try $0 + $1.clearAway(cutoffs, database) }
    }
}
