public import Telemetry

/// The metrics of the requests that the web server answers.
public final class RequestMetrics: Sendable {
    /// By the first digit of the response's status.
    private let responses: [Counter] = (0..<6).map { _ in Counter() }
    private let seconds = Histogram(bounds: Histogram.latencySeconds)

    public init() {}

    func answered(status: Int) { responses[min(status / 100, responses.count - 1)].add() }

    func took(since start: ContinuousClock.Instant) { seconds.record(since: start) }

    func expose(to out: inout Exposition) {
        for (index, counter) in responses.enumerated() where index > 0 {
            out.counter(
                "postern_http_responses_total", "HTTP responses by status class.", counter.value,
                labels: [("status", "\(index)xx")])
        }
        out.histogram("postern_http_request_seconds", "Time to respond to a request.", seconds)
    }
}
