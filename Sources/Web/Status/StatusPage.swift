import Hummingbird
import Model
import Storage
import Wire

/// The status page as a pure function: data in, HTML out.
struct StatusPage {
    let report: StatusReport
    let incidents: [Incident]
    /// Oldest first.
    let days: [Availability]
    let version: String
    let uptime: String
    let now: Timestamp
    /// Private figures. Empty for people who are not signed in.
    let numbers: [(String, String)]

    /// Whether the reader is signed in.
    let isSignedIn: Bool

    var response: Response {
        Page(
            title: headline, body: Page.alone(body, isWide: true),
            description:
                "\(headline). Status of this server: components, notices and the last \(Availability.days) days.",
            refresh: .always
        ).response
    }

    private var headline: String {
        switch report.worst {
        case .ok: incidents.isEmpty ? "Everything works" : "Everything works, with a notice"
        case .warning: "Works, but something needs attention"
        case .alarm: "Works, but will fail soon: action required"
        case .failed: "Something is broken"
        }
    }

    private var body: HTML {
        let parts = Table(
            "Components", ["Component", .short("State"), "Details"],
            report.components.map { ["\($0.name)", Self.badge($0.state), "\($0.text)"] })
        let figures: HTML =
            numbers.isEmpty ? "" : Panel.figures(numbers.map { Panel.Figure(value: $0.1, name: $0.0, path: nil) })
        return """
            <h1 class="\(report.worst.rawValue)" role="status">\(headline)</h1>
            \("<section aria-label=\"Notices\">\(notices)</section>", if: !incidents.isEmpty)
            \(figures)\(Panel.html(nil, parts.html))\(history)
            <p class="small">Last checked \(age) ago. Version \(version), up for \(uptime). Share sessions are
            end-to-end encrypted between their participants; this server cannot read them.</p>
            <footer class="footer"><a href="/about">About this server</a><a href="/docs">Documentation</a>\(account)\
            <span>For programs: <a href="/health">health</a>, <a href="/ready">ready</a>, <a href="/openapi.json">API</a></span></footer>
            """
    }

    private var account: HTML {
        isSignedIn ? "<a href=\"/home\">Overview</a>" : "<a href=\"/sign-in\">Sign in</a>"
    }

    private static func badge(_ state: Component.State) -> HTML {
        switch state {
        case .ok: Badge.html("works", .ok)
        case .warning: Badge.html("needs attention", .warning)
        case .alarm: Badge.html("needs attention now", .warning)
        case .failed: Badge.html("broken", .bad)
        }
    }

    private var age: String {
        DurationText.text(Int((ContinuousClock.now - report.checkedAt).components.seconds))
    }

    /// The maximum number of incidents on the page: it stays below 20 KB however long they are.
    private static let noticesShown = 3

    private var notices: HTML {
        let more = incidents.count - Self.noticesShown
        return incidents.prefix(Self.noticesShown).map(notice).joined()
            + (more > 0 ? "<p class=\"small\">And \(more) older \(more == 1 ? "notice" : "notices").</p>" : "")
    }

    private func notice(_ incident: Incident) -> HTML {
        Panel.notice(
            """
            <p><strong>\(incident.text)</strong><br><span class="small">since \(TimeText.html(incident.startedAt))</span></p>
            """, .warning)
    }

    /// One bar for each day, the newest at the right. Each has a text for people who cannot see it.
    private var history: HTML {
        let today = Int(now.milliseconds / 86_400_000)
        let known = Dictionary(days.map { ($0.day, $0) }) { $1 }
        // There is no data before the first record.
        let first = days.first?.day ?? today
        var measured: [Double] = []
        let bars = (today - Availability.days + 1...today).map { day -> Chart.Bar in
            let date = String(ISOTime.text(milliseconds: Int64(day) * 86_400_000).prefix(10))
            guard day >= first else { return .init(label: date, value: 1, text: "not measured", tone: "none") }
            let share = Self.share(known[day], isFirst: day == first, isToday: day == today, now: now)
            measured.append(share)
            let tone = share >= 0.999 ? "ok" : share >= 0.95 ? "warning" : "failed"
            return .init(label: date, value: max(share, 0.05), text: "\(Self.percent(share)) % available", tone: tone)
        }
        let mean = measured.reduce(0, +) / Double(max(1, measured.count))
        let chart = Chart(
            title: "Availability by day, the last \(Availability.days) days", bars: bars, greatest: 1,
            from: "\(Availability.days) days ago", to: "today")
        let span = measured.count == 1 ? "the first day" : "\(measured.count) days"
        return Panel.html(
            "The last \(Availability.days) days",
            """
            <p><strong>\(Self.percent(mean)) %</strong> available over \(span) measured. Green: all day; amber: 95 % or more;
            red: less; grey: not measured.</p>\(chart.html)
            """)
    }

    private static func percent(_ share: Double) -> String { String((share * 1000).rounded(.down) / 10) }

    /// The share of a day in which the server was running and working. The first and the last day are not complete.
    static func share(_ day: Availability?, isFirst: Bool, isToday: Bool, now: Timestamp) -> Double {
        // The first minute of a day has not been recorded yet.
        guard let day else { return isToday ? 1 : 0 }
        let measured = day.readySeconds + day.degradedSeconds
        let elapsed = isFirst ? measured : isToday ? Int(now.milliseconds / 1000 % 86400) : 86400
        // Records are written once a minute: the current minute does not count as downtime.
        let expected = max(measured, elapsed - 120)
        return expected <= 0 ? 1 : min(1, Double(day.readySeconds) / Double(expected))
    }
}
