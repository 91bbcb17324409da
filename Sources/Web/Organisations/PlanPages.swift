import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage

/// The page with an organisation's plan and usage.
struct PlanPages: Sendable {
    let service: OrganisationOperations

    func add(to routes: Routes) {
        routes.page(.get, "/organisation/plan", for: .member(.tenantRead), use: plan)
    }

    @Sendable private func plan(_ page: PageRequest) async throws -> Response {
        let id = page.caller.organisationId
        let found = try await service.plan(of: id, by: page.caller)
        let rows = PlanLimit.allCases.filter(\.isOffered).map { limit -> [HTML] in
            let allowed = found.limits[limit]
            let now: HTML = found.current[limit].map { Meter.html($0, of: allowed) } ?? ""
            return ["\(limit.title)", "\(allowed.map { "\($0)" } ?? "no limit")", now]
        }
        let now = UsageLedger.hour(of: .now())
        let sums: [UsageLedger.Sum]?
        do {
            sums = try await service.read(id, .usageRead, by: page.caller) {
                try UsageLedger.sums(from: now - 23, to: now, in: $1)
            }
        } catch let refusal as Refusal where refusal.code == .notAllowed {
            sums = nil
        }
        let table = Table("What the plan allows", ["Limit", .number("Allowed"), "Now"], rows)
        return page.page(
            "Plan and usage",
            Panel.html("The plan \(found.plan.rawValue)", table.html)
                + (sums.map { UsageCharts(sums: $0, now: now).html }
                    ?? Panel.html("The last 24 hours", "<p>Your role does not allow viewing usage.</p>")))
    }
}

/// The usage of the last 24 hours, with a chart for each unit that was used.
struct UsageCharts {
    let sums: [UsageLedger.Sum]
    /// The current hour since 1970.
    let now: Int64

    private static let hours: Int64 = 24

    var html: HTML {
        let used = UsageLedger.Unit.allCases.filter { unit in sums.contains { $0.unit == unit && $0.amount > 0 } }
        if used.isEmpty {
            return Panel.empty(
                "No usage in the last 24 hours", "<p>Share sessions and tunnels are counted here, by the hour.</p>")
        }
        return "<h2>The last 24 hours</h2>" + Panel.columns(used.map(chart))
    }

    private func chart(_ unit: UsageLedger.Unit) -> HTML {
        let amounts = Dictionary(sums.filter { $0.unit == unit }.map { ($0.hour, $0.amount) }, uniquingKeysWith: +)
        let bars = (now - Self.hours + 1...now).map { hour in
            let amount = amounts[hour] ?? 0
            return Chart.Bar(
                label: Timestamp(milliseconds: hour * 3_600_000).readable, value: Double(amount),
                text: unit.text(amount))
        }
        let all = amounts.values
        // Peaks must not be added.
        let total = unit == .peakPeers ? all.max() ?? 0 : all.reduce(0, +)
        let chart = Chart(title: "\(unit.title), by hour", bars: bars, from: "24 hours ago", to: "now")
        return Panel.html(unit.title, "<p><strong>\(unit.text(total))</strong></p>\(chart.html)")
    }
}

extension UsageLedger.Unit {
    var title: String {
        switch self {
        case .sessionMinutes: "Share session minutes"
        case .guestMinutes: "Guest minutes"
        case .bytesRelayed: "Share session traffic"
        case .peakPeers: "Peak participants"
        case .tunnelRequests: "Tunnel requests"
        case .tunnelBytes: "Tunnel traffic"
        case .tunnelConnections: "Tunnel connections"
        }
    }

    func text(_ amount: Int) -> String {
        self == .bytesRelayed || self == .tunnelBytes ? ByteText.text(amount) : "\(amount)"
    }
}
