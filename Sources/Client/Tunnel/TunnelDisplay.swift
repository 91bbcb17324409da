import Glibc
import Model
import NIOCore
import Wire

/// The messages of a tunnel's command to its person, or with `--json` to a program.
final class TunnelDisplay {
    private let request: TunnelRun.Request
    private let loop: any EventLoop
    private let isTerminal: Bool
    private let hasColour: Bool
    private var isAnnounced = false
    private var isOnline = false
    /// Standard output. It must not block the link if nobody reads it.
    private let output: OutputStream
    /// The number of lines that were dropped because the output was full.
    private var lost = 0
    private var statusTimer: RepeatedTask?
    private var hasStatusLine = false
    private var requestCount = 0
    private var connections: () -> Int = { 0 }

    private struct Event: Encodable {
        var event: String
        var url: String?
        var trusted: Bool?
        var reason: String?
        var retryMilliseconds: Int?
        var request: TunnelRequest?
        var dropped: Int?
    }

    init(_ request: TunnelRun.Request, loop: any EventLoop) {
        self.request = request
        self.loop = loop
        output = OutputStream(descriptor: 1, loop: loop)
        isTerminal = isatty(1) == 1 && !request.json
        hasColour = isTerminal && getenv("NO_COLOR") == nil
    }

    func start() { output.start().whenFailure { _ in } }

    private func write(_ text: String) {
        guard output.isWritable else { return lost += 1 }
        if lost > 0 {
            let count = lost
            lost = 0
            write(
                request.json
                    ? json(Event(event: "events_dropped", dropped: count)) : "\(count) lines were dropped here\n")
        }
        output.write(Array(text.utf8)).whenFailure { _ in }
    }

    private func json(_ event: Event) -> String {
        VisibleText.escapedJSON(String(buffer: JSONText.encode(event))) + "\n"
    }

    /// - Parameter connections: returns the current number of connections.
    func online(_ tunnel: TunnelResource, roundTrip: TimeAmount?, connections: @escaping () -> Int) {
        self.connections = connections
        isOnline = true
        if request.json { return event(Event(event: "online", url: tunnel.url, trusted: tunnel.trusted)) }
        guard !isAnnounced else { return line("connected again: \(tunnel.url)") }
        isAnnounced = true
        for foreword in request.forewords { line("\(foreword)") }
        line("\(tunnel.url)  forwards to  \(request.title)")
        if !tunnel.trusted {
            line(
                """
                The server has no certificate for its tunnels yet: browsers warn your visitors, and other clients refuse. Its owner \
                can find the remedy in docs/tunnels.md (a wildcard certificate).
                """)
        }
        line("Press Ctrl-C to stop.")
        guard isTerminal else { return }
        let bound = NIOLoopBound(self, eventLoop: loop)
        statusTimer = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .seconds(1)) { _ in bound.value.drawStatus()
        }
    }

    func offline(_ reason: String, retryIn wait: TimeAmount) {
        let milliseconds = Int(wait.nanoseconds / 1_000_000)
        if request.json { return event(Event(event: "offline", reason: reason, retryMilliseconds: milliseconds)) }
        if isOnline || !isAnnounced { line("not connected: \(reason); retrying") }
        isOnline = false
    }

    func requests(_ requests: [TunnelRequest], dropped: Int) {
        requestCount += requests.count + dropped
        if request.json {
            for one in requests { event(Event(event: "request", request: one)) }
            if dropped > 0 { event(Event(event: "requests_dropped", dropped: dropped)) }
            return
        }
        for one in requests { line(TerminalText(trusted: text(one))) }
        if dropped > 0 { line("\(dropped) more requests") }
        if isTerminal { drawStatus() }
    }

    private func text(_ one: TunnelRequest) -> String {
        let status = one.status == 0 ? "left" : "\(one.status)"
        let path = VisibleText.escaped(one.path)
        let method = VisibleText.escaped(one.method)
        return [
            Self.time(one.at), padded(method, 7), coloured(padded(status, 4), one.status),
            padded("\(one.milliseconds) ms", 9),
            padded(Self.size(one.bytesOut), 10), padded(VisibleText.escaped(one.from), 15), path,
        ].joined(separator: " ")
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private func coloured(_ text: String, _ status: Int) -> String {
        guard hasColour else { return text }
        let colour = status >= 500 || status == 0 ? 31 : status >= 400 ? 33 : status >= 300 ? 36 : 32
        return "\u{1B}[\(colour)m\(text)\u{1B}[0m"
    }

    /// The local time.
    private static func time(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }

    private static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<1024: "\(bytes) B"
        case ..<(1 << 20): "\(bytes >> 10) KiB"
        case ..<(1 << 30): "\(bytes >> 20) MiB"
        default: "\(bytes >> 30) GiB"
        }
    }

    // MARK: Lines

    private func line(_ text: TerminalText) {
        clearStatus()
        write("\(text.text)\n")
    }

    private func event(_ event: Event) {
        write(json(event))
    }

    private func drawStatus() {
        guard isTerminal else { return }
        clearStatus()
        let count = connections()
        let text =
            isOnline
            ? "\(count) \(count == 1 ? "connection" : "connections"), \(requestCount) \(requestCount == 1 ? "request" : "requests")"
            : "not connected"
        write("\u{1B}[2m\(text)\u{1B}[0m")
        hasStatusLine = true
    }

    private func clearStatus() {
        guard hasStatusLine else { return }
        write("\r\u{1B}[K")
        hasStatusLine = false
    }

    /// - Returns: succeeds when everything was passed to the system.
    func close() -> EventLoopFuture<Void> {
        statusTimer?.cancel()
        clearStatus()
        if request.json { event(Event(event: "ended")) }
        return output.finish()
    }
}
