public import Database
public import Model

/// What is kept only because it happened: ended share sessions with their codes and seats, used links and invitations.
///
/// Sums of what was used are in the ledger, and who did what is in the audit log; both stay.
public enum History {
    /// Sessions that one transaction removes: the writer must not keep others waiting.
    private static let batch = 200
    /// Links and invitations that are used or too old are shown to nobody, in seconds: a month.
    private static let linkSeconds: Int64 = 30 * 86_400

    /// Removes a batch of what ended longer ago.
    /// - Parameter days: 0 keeps everything.
    /// - Returns: how many sessions were removed; call again until it is 0.
    public static func clearAway(olderThan days: Int, now: Timestamp, in database: Transaction) throws -> Int {
        let oldLinks = now.advanced(bySeconds: -linkSeconds)
        let all = database.across(.upkeep)
        try database.run("DELETE FROM one_time_links WHERE expires_at < ?", oldLinks)
        try all.run("DELETE FROM invitations WHERE expires_at < ?", oldLinks)
        guard days > 0 else { return 0 }
        // Codes and seats go with their session.
        return try all.run(
            """
            DELETE FROM share_sessions WHERE id IN (
                SELECT id FROM share_sessions WHERE ended_at < ? ORDER BY ended_at LIMIT ?)
            """, now.advanced(bySeconds: -Int64(days) * 86_400), batch)
    }
}
