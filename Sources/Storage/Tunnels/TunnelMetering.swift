public import Database
public import Model

extension UsageLedger {
    /// Records the traffic of tunnels. Traffic that is already in the ledger is not added again.
    /// - Parameter totals: all that a tunnel ever carried, by its id.
    /// - Throws: ``StorageError``.
    public static func settleTunnels(_ totals: [String: TunnelUsage], now: Timestamp, in database: Transaction) throws {
        var sums: [String: TunnelUsage] = [:]
        for (id, total) in totals {
            let found = try database.across(.upkeep).first(
                "SELECT * FROM tunnels WHERE id = ?", id, decode: Tunnel.init)
            guard let tunnel = found, total != tunnel.usage else { continue }
            let settled = tunnel.usage
            try database.across(.upkeep).run(
                "UPDATE tunnels SET requests = ?, bytes = ?, connections = ?, errors = ? WHERE id = ?",
                max(total.requests, settled.requests), max(total.bytes, settled.bytes),
                max(total.connections, settled.connections), max(total.errors, settled.errors), id)
            let (requests, errors) = (total.requests - settled.requests, total.errors - settled.errors)
            if requests > 0 || errors > 0 {
                try TunnelHour.add(
                    id, requests: max(0, requests), errors: max(0, errors), now: now,
                    in: database.tenant(tunnel.organisationId))
            }
            var sum = sums[tunnel.organisationId] ?? TunnelUsage()
            sum.requests += max(0, total.requests - settled.requests)
            sum.bytes += max(0, total.bytes - settled.bytes)
            sum.connections += max(0, total.connections - settled.connections)
            sums[tunnel.organisationId] = sum
        }
        for (organisation, sum) in sums {
            let scope = database.tenant(organisation)
            for (unit, amount) in [
                (Unit.tunnelRequests, sum.requests), (.tunnelBytes, sum.bytes), (.tunnelConnections, sum.connections),
            ] where amount > 0 {
                try insert(unit, hour: hour(of: now), amount, now: now, in: scope)
            }
        }
    }
}
