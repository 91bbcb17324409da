public import Database
public import Model

/// What a tunnel did in one hour. Kept for a week, to tell what is unusual.
public struct TunnelHour: Sendable, Equatable {
    /// How long hours are kept, in hours: the week that is compared with, and the hour itself.
    static let kept = 7 * 24 + 1
    /// An alert about a tunnel is followed by another one after this time at the earliest, in seconds.
    private static let alertPause: Int64 = 86_400
    /// A week is known well enough after this many hours.
    private static let known = 72
    /// Requests in an hour, below which a change says nothing.
    private static let enough = 100

    /// Hours since 1970.
    public let hour: Int
    public let requests: Int
    /// Answers with a status from 500 on, also the server's own in the service's place.
    public let errors: Int

    public init(hour: Int, requests: Int, errors: Int) {
        self.hour = hour
        self.requests = requests
        self.errors = errors
    }

    static func number(_ now: Timestamp) -> Int { Int(now.milliseconds / 3_600_000) }

    /// Compares an hour with the ones of the week before it.
    /// - Parameter week: in order; an hour without requests may be left out.
    /// - Returns: what is unusual, as a sentence; nil if nothing is, or too little is known.
    public static func unusual(_ last: TunnelHour, week: [TunnelHour]) -> String? {
        guard let first = week.first?.hour, last.hour - first >= known else { return nil }
        let most = week.map(\.requests).max() ?? 0
        if last.requests >= enough, last.requests > 2 * most {
            return "It had \(last.requests) requests in an hour; the busiest hour of the week before had \(most)."
        }
        // An hour that is left out had none.
        let least = week.count == last.hour - first ? week.map(\.requests).min() ?? 0 : 0
        if least >= enough, 2 * last.requests < least {
            return
                "It had only \(last.requests) requests in an hour; the quietest hour of the week before had \(least)."
        }
        guard last.requests >= enough else { return nil }
        let share = Double(last.errors) / Double(last.requests)
        let worst = week.filter { $0.requests >= enough }.map { Double($0.errors) / Double($0.requests) }.max() ?? 0
        guard share > worst + 0.1 else { return nil }
        return
            "\(percent(share)) of its \(last.requests) requests in an hour failed; in the week before it was at most "
            + "\(percent(worst)) of an hour's."
    }

    private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

    // MARK: Rows

    /// Adds to the current hour of a tunnel.
    static func add(_ tunnel: String, requests: Int, errors: Int, now: Timestamp, in scope: TenantScope) throws {
        try scope.run(
            """
            INSERT INTO tunnel_hours (organisation_id, tunnel_id, hour, requests, errors) VALUES (:organisation, ?, ?, ?, ?)
            ON CONFLICT (tunnel_id, hour) DO UPDATE SET requests = requests + excluded.requests, errors = errors + excluded.errors
            """, tunnel, number(now), requests, errors)
    }

    /// The tunnels whose last whole hour was unusual, and that were not reported within a day. Marks them as reported.
    /// - Throws: ``StorageError``.
    public static func takeUnusual(now: Timestamp, in database: Transaction) throws -> [(
        tunnel: Tunnel, sentence: String
    )] {
        let last = number(now) - 1
        let rows = try database.across(.upkeep).rows(
            "SELECT * FROM tunnel_hours WHERE hour >= ? AND hour <= ? ORDER BY tunnel_id, hour", last - kept + 1, last
        ) { row in
            (
                try row.text("tunnel_id"),
                TunnelHour(
                    hour: try row.integer("hour"), requests: try row.integer("requests"),
                    errors: try row.integer("errors"))
            )
        }
        var found: [(Tunnel, String)] = []
        for (id, hours) in Dictionary(grouping: rows, by: \.0).mapValues({ $0.map(\.1) }) {
            let current = hours.last.flatMap { $0.hour == last ? $0 : nil }
            let week = hours.filter { $0.hour < last }
            guard
                let sentence = unusual(
                    current ?? TunnelHour(hour: last, requests: 0, errors: 0), week: week),
                let tunnel = try Tunnel.findAnywhere(id: id, in: database), tunnel.releasedAt == nil
            else { continue }
            let marked = try database.across(.upkeep).first(
                "UPDATE tunnels SET unusual_at = ? WHERE id = ? AND (unusual_at IS NULL OR unusual_at < ?) RETURNING id",
                now, id, now.advanced(bySeconds: -alertPause)
            ) { try $0.text("id") }
            if marked != nil { found.append((tunnel, sentence)) }
        }
        return found
    }

    static func clearAway(now: Timestamp, in database: Transaction) throws {
        try database.across(.upkeep).run("DELETE FROM tunnel_hours WHERE hour < ?", number(now) - kept)
    }
}

extension Migration {
    static let tunnelHours = Migration(
        number: 16,
        script: """
            ALTER TABLE tunnels ADD COLUMN errors INTEGER NOT NULL DEFAULT 0;
            ALTER TABLE tunnels ADD COLUMN unusual_at INTEGER;
            CREATE TABLE tunnel_hours (
                organisation_id TEXT NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
                tunnel_id TEXT NOT NULL REFERENCES tunnels (id) ON DELETE CASCADE,
                hour INTEGER NOT NULL,
                requests INTEGER NOT NULL,
                errors INTEGER NOT NULL,
                PRIMARY KEY (tunnel_id, hour)
            ) STRICT;
            CREATE INDEX tunnel_hours_by_organisation ON tunnel_hours (organisation_id);
            CREATE INDEX tunnel_hours_by_hour ON tunnel_hours (hour);
            """)
}

extension AuditAction {
    public static let tunnelUnusual = AuditAction("tunnel.unusual")
}
