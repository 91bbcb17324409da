import Client
import NIOCore
import NIOPosix
import NIOTLS
import TransportSecurity

/// Everybody comes back at once, as after a restart of the relay: how long until each guest has its seat and a snapshot.
///
/// Prints "ready" when everybody is in; whoever restarts the relay needs to do no more. Reports when the last one is back.
final class Storm {
    /// Between two looks whether the relay listens again, and between two attempts of a peer that was turned away; a client
    /// of Postern waits longer.
    private static let retry = TimeAmount.milliseconds(20)

    private final class Member {
        var dialect: any Dialect
        var socket: BenchSocket?
        var isBack = false

        init(_ dialect: any Dialect) { self.dialect = dialect }
    }

    private let plan: Plan
    private let loop: any EventLoop
    private let announce: () -> Void
    private let done: EventLoopPromise<String>
    private var members: [Member] = []
    private var joined = 0
    private var lost = 0
    private var back = 0
    /// Connections that ended before their peer was back.
    private var refused = 0
    private var lostAt: NIODeadline?
    /// A connection attempt failed after the peers were lost, so that the next success is the restarted relay.
    private var hasGone = false
    /// When all set out, because somebody listens again.
    private var listeningAt: NIODeadline?

    init(_ plan: Plan, loop: any EventLoop, announce: @escaping () -> Void) {
        self.plan = plan
        self.loop = loop
        self.announce = announce
        done = loop.makePromise(of: String.self)
        for room in plan.rooms {
            for number in 0...plan.guests {
                members.append(Member(plan.dialect(number == 0 ? .publisher : .subscriber, room, number)))
            }
        }
    }

    func start() -> EventLoopFuture<String> {
        connect(members[0])
        return done.futureResult
    }

    private func connect(_ member: Member) {
        member.socket = BenchSocket(
            address: plan.address, path: member.dialect.path, subprotocol: member.dialect.subprotocol, loop: loop
        ) { self.handle($0, member) }
    }

    private func handle(_ event: BenchSocket.Event, _ member: Member) {
        switch event {
        case .opened:
            let said = lostAt == nil ? member.dialect.opened() : member.dialect.reopened()
            for message in said { member.socket?.send(message.opcode, message.bytes) }
            member.socket?.flush()
        case .message(let message):
            do {
                for event in try member.dialect.received(message) {
                    switch event {
                    case .ready: ready(member)
                    case .delivery: break
                    case .reply(let answer): member.socket?.send(answer.opcode, answer.bytes)
                    }
                }
            } catch {
                done.fail(error)
            }
        case .readComplete: break
        case .closed:
            guard joined == members.count else {
                return done.fail(LoadError("a connection closed before all peers had joined"))
            }
            if lostAt == nil { lostAt = .now() }
            guard listeningAt != nil else {
                lost += 1
                if lost == members.count { waitUntilListening() }
                return
            }
            guard back < members.count else { return }
            refused += 1
            loop.assumeIsolated().scheduleTask(in: Self.retry) { self.connect(member) }
        }
    }

    /// All set out at once, when the relay listens again.
    private func waitUntilListening() {
        ClientBootstrap(group: loop).connect(host: plan.address.host, port: plan.address.port)
            .hop(to: loop).assumeIsolated().whenComplete { result in
                let channel = try? result.get()
                channel?.close(promise: nil)
                guard channel != nil, self.hasGone else {
                    if channel == nil { self.hasGone = true }
                    self.loop.assumeIsolated().scheduleTask(in: Self.retry) { self.waitUntilListening() }
                    return
                }
                self.listeningAt = .now()
                self.members.forEach(self.connect)
            }
    }

    private func ready(_ member: Member) {
        guard let lostAt else {
            joined += 1
            if joined == members.count { announce() } else { connect(members[joined]) }
            return
        }
        guard !member.isBack else { return }
        member.isBack = true
        back += 1
        guard back == members.count, let listeningAt else { return }
        let now = NIODeadline.now()
        done.succeed(
            """
            {"seconds":\(Self.seconds(now - lostAt)),"sinceListening":\(Self.seconds(now - listeningAt)),\
            "peers":\(back),"refused":\(refused)}
            """)
    }

    private static func seconds(_ time: TimeAmount) -> Double { Double(time.nanoseconds) / 1e9 }
}
