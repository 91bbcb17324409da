public import Database
public import Model

/// The usage of organisations, in whole units, by hour. Entries are added and never changed. Billing reads it.
///
/// A minute counts once it has begun. Sessions and seats have `metered_until`, which advances in the transaction that
/// adds their minutes: nothing is lost or counted twice, whenever the server is killed. Bytes are counted by session
/// from its first to its last in memory that survives a killed process (`KeptCounters`). `bytes_relayed` is the number
/// of them already in the ledger.
public enum UsageLedger {
    public enum Unit: String, Sendable, CaseIterable {
        /// Minutes that share sessions were open.
        case sessionMinutes = "session_minutes"
        /// Minutes that guests had a seat.
        case guestMinutes = "guest_minutes"
        /// Bytes that peers sent each other and that were written to their connections, including WebSocket headers.
        case bytesRelayed = "bytes_relayed"
        /// The maximum number of hosts and guests at once within the hour.
        case peakPeers = "peak_peers"
        /// Answered requests to HTTP tunnels.
        case tunnelRequests = "tunnel_requests"
        /// Bytes between visitors and tunnels, in both directions, without TLS.
        case tunnelBytes = "tunnel_bytes"
        /// Visitors' connections to tunnels.
        case tunnelConnections = "tunnel_connections"
    }

    static let minute: Int64 = 60_000
    static let hour: Int64 = 3_600_000
    /// If the server was stopped for longer than this, nobody is charged for that time. In milliseconds.
    private static let longestGap: Int64 = 2 * minute

    /// One hour's sum of one unit.
    public struct Sum: Sendable, Equatable {
        /// Hours since 1970.
        public let hour: Int64
        public let unit: Unit
        public let amount: Int
    }

    /// Sums by hour and unit, oldest first.
    /// - Parameters:
    ///   - from: the first hour; `to` the last, both hours since 1970.
    public static func sums(from: Int64, to: Int64, in scope: TenantScope) throws -> [Sum] {
        try scope.rows(
            """
            SELECT hour, unit, CASE WHEN unit = 'peak_peers' THEN MAX(amount) ELSE SUM(amount) END AS amount
            FROM usage_entries WHERE organisation_id = :organisation AND hour BETWEEN ? AND ?
            GROUP BY hour, unit ORDER BY hour, unit
            """, from, to
        ) { Sum(hour: Int64(try $0.integer("hour")), unit: try $0.word("unit"), amount: try $0.integer("amount")) }
    }

    /// The hour a point in time is in.
    public static func hour(of time: Timestamp) -> Int64 { time.milliseconds / hour }

    // MARK: Metering

    /// Adds the whole minutes of all open sessions and taken seats since the last call, and the peaks of a new hour.
    /// - Parameter pausedSince: when the pause before this call began. A machine that slept meanwhile, or whose clock
    ///   was set, counts as a stopped server.
    /// - Throws: ``StorageError``.
    public static func meter(
        pausedSince: Timestamp? = nil, now: Timestamp, in database: Transaction
    ) throws {
        if let pausedSince, now.milliseconds - pausedSince.milliseconds > longestGap {
            try resume(now: now, in: database)
        }
        let all = database.across(.upkeep)
        let due = now.advanced(bySeconds: -60)
        let sessions = try all.rows(
            """
            SELECT id, organisation_id, metered_until FROM share_sessions WHERE ended_at IS NULL AND metered_until <= ?
            """, due, decode: MeteredItem.init)
        let seats = try all.rows(
            "SELECT id, organisation_id, metered_until FROM connections WHERE left_at IS NULL AND metered_until <= ?",
            due,
            decode: MeteredItem.init)
        for one in sessions {
            try all.run("UPDATE share_sessions SET metered_until = ? WHERE id = ?", one.next(now), one.id)
        }
        for one in seats { try all.run("UPDATE connections SET metered_until = ? WHERE id = ?", one.next(now), one.id) }
        try addAll(sessions, .sessionMinutes, now: now, in: database)
        try addAll(seats, .guestMinutes, now: now, in: database)
        for organisation in Set(sessions.map(\.organisationId)) {
            try notePeers(now: now, in: database.tenant(organisation))
        }
    }

    /// Records the traffic of rooms. Bytes that are already in the ledger are not added again.
    /// - Parameter bytes: the total bytes that a session's room ever carried, by session.
    /// - Throws: ``StorageError``.
    public static func settleBytes(_ bytes: [String: Int], now: Timestamp, in database: Transaction) throws {
        var sums: [String: Int] = [:]
        for (session, total) in bytes {
            let found = try database.across(.relay).first(
                "SELECT organisation_id, bytes_relayed FROM share_sessions WHERE id = ?", session
            ) { (try $0.text("organisation_id"), try $0.integer("bytes_relayed")) }
            guard let (organisation, settled) = found, total > settled else { continue }
            try database.tenant(organisation).run(
                "UPDATE share_sessions SET bytes_relayed = ? WHERE organisation_id = :organisation AND id = ?", total,
                session)
            sums[organisation, default: 0] += total - settled
        }
        for (organisation, sum) in sums {
            try insert(.bytesRelayed, hour: hour(of: now), sum, now: now, in: database.tenant(organisation))
        }
    }

    /// Called after a start: nobody is charged for a long downtime of the server.
    static func resume(now: Timestamp, in database: Transaction) throws {
        let all = database.across(.upkeep)
        let oldest = Timestamp(milliseconds: now.milliseconds - longestGap)
        try all.run(
            "UPDATE share_sessions SET metered_until = ? WHERE ended_at IS NULL AND metered_until < ?", now, oldest)
        try all.run("UPDATE connections SET metered_until = ? WHERE left_at IS NULL AND metered_until < ?", now, oldest)
    }

    /// Adds the last minutes of a session or a seat that ends now. A minute that has begun counts.
    static func close(_ unit: Unit, from: Timestamp?, now: Timestamp, in scope: TenantScope) throws {
        guard let from, now > from else { return }
        let minutes = (now.milliseconds - from.milliseconds + minute - 1) / minute
        for (hour, count) in split(from: from, minutes: minutes) {
            try insert(unit, hour: hour, count, now: now, in: scope)
        }
    }

    /// Records the current number of peers, if it is the maximum of this hour.
    static func notePeers(now: Timestamp, in scope: TenantScope) throws {
        scope.lock()
        let hour = hour(of: now)
        let found = try scope.first(
            """
            SELECT (SELECT COUNT(*) FROM connections WHERE organisation_id = :organisation AND left_at IS NULL)
                + (SELECT COUNT(*) FROM share_sessions WHERE organisation_id = :organisation AND ended_at IS NULL
                   AND host_resume_digest IS NOT NULL) AS peers,
                (SELECT COALESCE(MAX(amount), 0) FROM usage_entries WHERE organisation_id = :organisation AND hour = ?
                   AND unit = 'peak_peers') AS peak
            """, hour
        ) { (try $0.integer("peers"), try $0.integer("peak")) }
        guard let (peers, peak) = found, peers > peak else { return }
        try insert(.peakPeers, hour: hour, peers, now: now, in: scope)
    }

    // MARK: Parts

    /// An open session or a taken seat, with the time up to which it is metered.
    private struct MeteredItem {
        let id, organisationId: String
        let meteredUntil: Timestamp

        init(_ row: Row) throws {
            id = try row.text("id")
            organisationId = try row.text("organisation_id")
            meteredUntil = try row.time("metered_until")
        }

        func minutes(_ now: Timestamp) -> Int64 { (now.milliseconds - meteredUntil.milliseconds) / minute }

        func next(_ now: Timestamp) -> Timestamp {
            Timestamp(milliseconds: meteredUntil.milliseconds + minutes(now) * minute)
        }
    }

    private static func addAll(
        _ open: [MeteredItem], _ unit: Unit, now: Timestamp, in database: Transaction
    ) throws {
        var sums: [String: [Int64: Int]] = [:]
        for one in open {
            for (hour, count) in split(from: one.meteredUntil, minutes: one.minutes(now)) {
                sums[one.organisationId, default: [:]][hour, default: 0] += count
            }
        }
        for (organisation, hours) in sums {
            for (hour, count) in hours {
                try insert(unit, hour: hour, count, now: now, in: database.tenant(organisation))
            }
        }
    }

    /// The minutes, grouped by the hour in which each begins.
    static func split(from: Timestamp, minutes: Int64) -> [(hour: Int64, count: Int)] {
        var left = minutes
        var start = from.milliseconds
        var parts: [(Int64, Int)] = []
        while left > 0 {
            let end = (start / hour + 1) * hour
            let fitting = min(left, (end - start + minute - 1) / minute)
            parts.append((start / hour, Int(fitting)))
            left -= fitting
            start += fitting * minute
        }
        return parts
    }

    static func insert(
        _ unit: Unit, hour: Int64, _ amount: Int, now: Timestamp, in scope: TenantScope
    ) throws {
        try scope.run(
            """
            INSERT INTO usage_entries (organisation_id, hour, unit, amount, recorded_at) VALUES (:organisation, ?, ?, ?, ?)
            """, hour, unit.rawValue, amount, now)
    }
}
