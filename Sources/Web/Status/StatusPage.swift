import Hummingbird
import Model
import Storage
import Wire

/// The status page, as a pure value: what is known in, HTML out.
struct StatusPage {
    let report: StatusReport
    let incidents: [Incident]
    /// Oldest first.
    let days: [Availability]
    let version: String
    let uptime: String
    let now: Timestamp
    /// Private figures; empty for strangers.
    let numbers: [(String, String)]

    var response: Response {
        Page(title: headline, body: body).response
    }

    private var headline: String {
        switch report.worst {
        case .ok: incidents.isEmpty ? "Everything works" : "Everything works, with a notice"
        case .warning: "Works, and something needs its owner"
        case .alarm: "Works, and will not for long: its owner must act"
        case .failed: "Something is broken"
        }
    }

    private var body: HTML {
        """
        <main><p class="brand">Postern</p>
        <h1 class="\(report.worst.rawValue)" role="status">\(headline)</h1>
        \("<section aria-label=\"Notices\">\(notices)</section>", if: !incidents.isEmpty)
        <table><caption>Parts</caption><thead><tr><th scope="col">Part</th><th scope="col">State</th>\
        <th scope="col">What is known</th></tr></thead><tbody>\(report.components.map(row).joined())</tbody></table>
        <p class="small">All looked at \(age) ago. Version \(version), up for \(uptime).</p>
        \("<dl>\(numbers.map { "<dt>\($0.0)</dt><dd>\($0.1)</dd>" as HTML }.joined())</dl>", if: !numbers.isEmpty)
        <h2>The last \(Availability.days) days</h2>
        \(bars)
        <p class="small">Share a terminal with <code>postern share</code>, join one with <code>postern join CODE</code>.
        What crosses this server is encrypted between the people who share; it cannot read it.
        <a href="/sign-in">Sign in</a> to your account. For programs: <a href="/health">health</a>, <a href="/ready">ready</a>, <a href="/openapi.json">API</a>.</p></main>
        """
    }

    private var age: String {
        DurationText.text(Int((ContinuousClock.now - report.checkedAt).components.seconds))
    }

    /// Incidents that the page shows: it stays below 20 KB however long they are.
    private static let noticesShown = 4

    private var notices: HTML {
        let more = incidents.count - Self.noticesShown
        return incidents.prefix(Self.noticesShown).map(notice).joined()
            + (more > 0 ? "<p class=\"small\">And \(more) older \(more == 1 ? "notice" : "notices").</p>" : "")
    }

    private func notice(_ incident: Incident) -> HTML {
        let since = incident.startedAt.iso.prefix(16)
        return "<p class=\"notice\"><strong>\(incident.text)</strong><br>"
            + "<span class=\"small\">since \(since.split(separator: "T").joined(separator: " ")) UTC</span></p>"
    }

    private func row(_ component: Component) -> HTML {
        let word =
            switch component.state {
            case .ok: "works"
            case .warning: "needs care"
            case .alarm: "needs care now"
            case .failed: "broken"
            }
        return "<tr><th scope=\"row\">\(component.name)</th>"
            + "<td class=\"\(component.state.rawValue)\">\(word)</td><td>\(component.text)</td></tr>"
    }

    /// One bar a day, the newest at the right; each has its words for those who do not see it.
    private var bars: HTML {
        let today = Int(now.milliseconds / 86_400_000)
        let known = Dictionary(days.map { ($0.day, $0) }) { $1 }
        // Before the first record there was nothing to measure.
        let first = days.first?.day ?? today
        let items = (today - Availability.days + 1...today).map { day -> HTML in
            let date = ISOTime.text(milliseconds: Int64(day) * 86_400_000).prefix(10)
            guard day >= first else { return "<li class=\"none\"><span>\(date): not measured</span></li>" }
            let share = Self.share(known[day], isFirst: day == first, isToday: day == today, now: now)
            let state = share >= 0.999 ? "ok" : share >= 0.95 ? "warning" : "failed"
            let percent = String((share * 1000).rounded() / 10)
            return
                "<li class=\"\(state)\" title=\"\(date): \(percent) %\"><span>\(date): \(percent) % available</span></li>"
        }
        return "<ol class=\"bars\" aria-label=\"Availability by day\">\(items.joined())</ol>"
    }

    /// The part of a day in which the server was there and worked. The first and the last day are not whole.
    static func share(_ day: Availability?, isFirst: Bool, isToday: Bool, now: Timestamp) -> Double {
        // The first minute of a day has not been written down yet.
        guard let day else { return isToday ? 1 : 0 }
        let measured = day.readySeconds + day.degradedSeconds
        let elapsed = isFirst ? measured : isToday ? Int(now.milliseconds / 1000 % 86400) : 86400
        // Records come once a minute: the minute that is not over yet is nobody's fault.
        let expected = max(measured, elapsed - 120)
        return expected <= 0 ? 1 : min(1, Double(day.readySeconds) / Double(expected))
    }
}
