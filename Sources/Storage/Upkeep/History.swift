public import Database
public import Model

/// Rows that only record past events: ended share sessions with their codes and seats, used links and invitations.
///
/// The sums of usage are in the ledger, and all actions are in the audit log. Both are kept.
public enum History {
    /// How long used or expired links and invitations are kept, in seconds: a month. They are not shown to anybody.
    private static let linkSeconds: Int64 = 30 * 86_400

    /// Removes a batch of rows that ended longer ago than this.
    /// - Parameter days: 0 keeps everything.
    /// - Returns: the number of removed rows. Call again until it is 0.
    public static func clearAway(olderThan days: Int, now: Timestamp, in database: Transaction) throws -> Int {
        let cutoffs = RetentionCutoffs(
            history: days > 0 ? now.advanced(bySeconds: -Int64(days) * 86_400) : nil,
            links: now.advanced(bySeconds: -linkSeconds),
            names: now.advanced(bySeconds: -Tunnel.reservedSeconds))
        return try StorageFeature.all.reduce(0) { try $0 + $1.clearAway(cutoffs, database) }
    }
}
