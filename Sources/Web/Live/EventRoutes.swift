import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Operations
import Storage
import Synchronization
import Telemetry
import Tunnels

/// `/events`: tells an open page that some of its data has changed, with server-sent events (WHATWG HTML, section 9.2).
///
/// An event names what has changed but contains none of the data. The page requests the data itself. With
/// `Last-Event-ID` the server sends the missed events, or `reset` if they are too old or the server was restarted.
struct EventRoutes: Sendable {
    let changes: ChangeFeed
    private let streams = OpenStreams()

    init(changes: ChangeFeed) { self.changes = changes }

    /// How often something is sent, so that proxies keep the connection and a closed one is detected.
    private static let tick = Duration.seconds(5)
    /// The number of ticks after which a stream ends: the browser reconnects and must authenticate again.
    private static let ticks = 60
    /// The delay before a browser reconnects, in milliseconds.
    private static let retry = 2_000
    /// The delay for a page that was replaced by a newer one of the same browser.
    private static let longRetry = 60_000

    func add(to routes: Routes) { routes.page(.get, "/events", for: .account, use: follow) }

    @Sendable private func follow(_ page: PageRequest) async throws -> Response {
        let topics = try topics(page)
        // A browser sends the last event that it has read. A new page sends the position at its creation.
        let read = page.request.headers[.lastEventId] ?? page.query("seen")
        let number = read.flatMap { changes.number(of: $0) }
        let headers: HTTPFields = [
            .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-store",
            // Makes proxies pass each event on at once (nginx).
            .accelBuffering: "no",
        ]
        if page.request.method == .head { return Response(status: .ok, headers: headers) }
        let (signals, continuation) = AsyncStream.makeStream(of: Signal.self, bufferingPolicy: .bufferingNewest(16))
        guard let place = streams.begin(page.visit.signIn.id, { continuation.yield(.makesRoom) }) else {
            throw Refusal(.rateLimited, "Too many event streams are open on this server.")
        }
        let (missed, last, next) = changes.follow(since: number)
        // The browser stores the number without telling the page.
        var first = "retry: \(Self.retry)\nid: \(changes.position(last))\n\n"
        if missed == nil || (read != nil && number == nil) { first += "event: reset\ndata: all\n\n" }
        let organisation = page.caller.organisationId
        for change in missed ?? [] where change.isFor(topics, in: organisation) { first += text(change) }
        let start = first
        return Response(
            status: .ok, headers: headers,
            body: .init { writer in
                // Held as long as the body may be written, and released in any case.
                defer { _ = place }
                try await writer.write(ByteBuffer(string: start))
                try await send(next, signals, continuation, topics, organisation, to: &writer)
                try await writer.finish(nil)
            })
    }

    private enum Signal {
        case change(ChangeFeed.Change)
        case tick
        case makesRoom
    }

    /// Sends until the server stops, the browser disconnects, or the caller must be checked again.
    private func send(
        _ next: AsyncStream<ChangeFeed.Change>, _ signals: AsyncStream<Signal>,
        _ continuation: AsyncStream<Signal>.Continuation, _ topics: Set<ChangeTopic>, _ organisation: String,
        to writer: inout any ResponseBodyWriter
    ) async throws {
        let feeding = Task {
            for await change in next { continuation.yield(.change(change)) }
            continuation.finish()
        }
        let ticking = Task {
            for _ in 0..<Self.ticks {
                try await Task.sleep(for: Self.tick)
                continuation.yield(.tick)
            }
            continuation.finish()
        }
        defer {
            feeding.cancel()
            ticking.cancel()
        }
        // Counters that change all the time cause no events: they are updated at each tick.
        let counts = !topics.isDisjoint(with: [.tunnels, .server])
        for await signal in signals {
            switch signal {
            case .change(let change) where change.isFor(topics, in: organisation):
                try await writer.write(ByteBuffer(string: text(change)))
            case .change: continue
            case .makesRoom:
                try await writer.write(ByteBuffer(string: "retry: \(Self.longRetry)\n\n"))
                return
            case .tick:
                try await writer.write(ByteBuffer(string: counts ? "event: changed\ndata: counts\n\n" : ":\n\n"))
            }
        }
    }

    private func text(_ change: ChangeFeed.Change) -> String {
        "id: \(changes.position(change.number))\nevent: changed\ndata: \(change.topic.rawValue)\n\n"
    }

    /// - Throws: ``APIError`` for an unknown topic; ``Refusal`` for one that the person may not see.
    private func topics(_ page: PageRequest) throws -> Set<ChangeTopic> {
        let words = (page.query("topics") ?? "").split(separator: ",")
        let topics = Set(words.compactMap { ChangeTopic(rawValue: String($0)) })
        guard topics.count == words.count, !topics.isEmpty else {
            throw APIError.badRequest("topics: \(ChangeTopic.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        if topics.contains(.server) { try page.caller.requireAdministrator() }
        return topics
    }
}

/// The open streams. If a browser opens one too many, the new one is accepted and its oldest ends: the oldest may
/// belong to a closed page, which a server detects late.
private final class OpenStreams: Sendable {
    /// The maximum for one sign-in: browsers open six connections to one server, and need some for the pages
    /// themselves. Hidden pages have no stream.
    private static let perSignIn = 4
    /// The maximum for all sign-ins: each stream needs a connection and two tasks.
    private static let total = 2_000

    private struct State {
        var next = 0
        var all = 0
        var bySignIn: [String: [(id: Int, makeRoom: @Sendable () -> Void)]] = [:]
    }

    private let state = Mutex(State())

    /// The place of a stream. It is released when it is no longer referenced, also if the response was never written.
    final class Place: Sendable {
        private let streams: OpenStreams
        private let id: Int
        private let signIn: String

        fileprivate init(_ streams: OpenStreams, _ id: Int, _ signIn: String) {
            self.streams = streams
            self.id = id
            self.signIn = signIn
        }

        deinit { streams.end(id, of: signIn) }
    }

    /// - Returns: nil if the server has no free place.
    func begin(_ signIn: String, _ makeRoom: @escaping @Sendable () -> Void) -> Place? {
        let (id, oldest) = state.withLock { state -> (Int?, (@Sendable () -> Void)?) in
            guard state.all < Self.total else { return (nil, nil) }
            state.next += 1
            state.all += 1
            var own = state.bySignIn[signIn] ?? []
            own.append((state.next, makeRoom))
            state.bySignIn[signIn] = own
            let tooMany = own.count - Self.perSignIn
            return (state.next, tooMany > 0 ? own[tooMany - 1].makeRoom : nil)
        }
        oldest?()
        return id.map { Place(self, $0, signIn) }
    }

    private func end(_ id: Int, of signIn: String) {
        state.withLock { state in
            state.all -= 1
            state.bySignIn[signIn]?.removeAll { $0.id == id }
            if state.bySignIn[signIn]?.isEmpty == true { state.bySignIn[signIn] = nil }
        }
    }
}

extension HTTPField.Name {
    // Valid field names: only an invalid one returns nil.
    fileprivate static let lastEventId = Self("Last-Event-ID")!
    fileprivate static let accelBuffering = Self("X-Accel-Buffering")!
}

extension WebFeature {
    /// Pages that update themselves.
    static let live = WebFeature(
        name: "live",
        routes: { services, routes in EventRoutes(changes: services.tunnels.server.changes).add(to: routes) })
}
