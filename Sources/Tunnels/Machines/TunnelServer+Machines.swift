import Link
public import Model
import NIOCore
import Synchronization
import Telemetry
public import Wire

/// An enrolled machine whose link is open.
struct LiveMachine: Sendable {
    let link: TunnelServer.LinkHandle
    let instance: String
    let since: Timestamp
    let from: String
    var report: MachineReport?
    var name: String
}

/// The edge's information about a machine whose link is open.
public struct MachineStatus: Sendable {
    public let since: Timestamp
    public let from: String
    public let report: MachineReport?
    public let roundTripMilliseconds: Double?
}

extension TunnelServer {
    enum Entry {
        case enters
        /// The new link replaces this link, which must be closed.
        case replaces(LinkHandle)
        case isHeld(TimeAmount, isNew: Bool, LinkHandle?)
        case isStopping
    }

    /// A machine's link was admitted.
    func enter(_ machine: String, _ live: LiveMachine) -> Entry {
        defer { changes.changed(.machines, in: live.link.session.organisationId) }
        return state.withLock { state in
            guard !state.isStopping else { return .isStopping }
            if let hold = state.takeovers.hold(of: machine, now: .now()) { return .isHeld(hold, isNew: false, nil) }
            if let before = state.machines[machine] {
                let decision = state.takeovers.replace(
                    machine: machine, instance: live.instance, before: before.instance, now: .now())
                switch decision {
                case .takeOver: break
                case .hold(let time): return .isHeld(time, isNew: false, nil)
                case .holdAndTell(let time):
                    state.machines[machine] = nil
                    return .isHeld(time, isNew: true, before.link)
                }
                state.machines[machine] = live
                state.links[live.link.id] = live.link
                return .replaces(before.link)
            }
            state.machines[machine] = live
            state.links[live.link.id] = live.link
            return .enters
        }
    }

    /// - Returns: whether the link was the machine's current one, with no newer link in its place.
    func leave(_ machine: String, link: String) -> Bool {
        let left = state.withLock { state -> LinkHandle? in
            guard state.machines[machine]?.link.id == link else { return nil }
            return state.machines.removeValue(forKey: machine)?.link
        }
        if let left { changes.changed(.machines, in: left.session.organisationId) }
        return left != nil
    }

    var isStopping: Bool { state.withLock(\.isStopping) }

    func reported(_ report: MachineReport, by machine: String, link: String) {
        let session = state.withLock { state -> (any LinkSession)? in
            guard let live = state.machines[machine], live.link.id == link else { return nil }
            state.machines[machine]?.report = report
            return live.link.session
        }
        if let session { changes.changed(.machines, in: session.organisationId) }
    }

    /// The status of one machine. Nil if its link is not open.
    public func machine(_ id: String) async -> MachineStatus? {
        guard let live = state.withLock({ $0.machines[id] }) else { return nil }
        let measured = try? await live.link.loop.submit { live.link.connection.value.link?.engine.roundTrip }.get()
        let roundTrip: TimeAmount? = measured ?? nil
        return MachineStatus(
            since: live.since, from: live.from, report: live.report,
            roundTripMilliseconds: roundTrip.map { Double($0.nanoseconds) / 1_000_000 })
    }

    /// The machines whose links are open, without their round trips.
    public func machines() -> [String: MachineStatus] {
        state.withLock { state in
            state.machines.mapValues {
                MachineStatus(since: $0.since, from: $0.from, report: $0.report, roundTripMilliseconds: nil)
            }
        }
    }

    /// The reason why a machine is held back. Nil if it is not.
    public func problem(of machine: String) -> String? {
        state.withLock { $0.takeovers.hold(of: machine, now: .now()) }.map { _ in LinkConnection.duplicatedText }
    }

    func name(of machine: String) -> String? { state.withLock { $0.machines[machine]?.name } }

    /// A machine was renamed.
    public func renamed(machine: String, to name: String) { state.withLock { $0.machines[machine]?.name = name } }

    /// The link that is used for a machine.
    func link(of machine: String) -> String? { state.withLock { $0.machines[machine]?.link.id } }

    /// The time, in milliseconds, within which machines retry after a loss, so that not all of them reconnect at once: 500 a second.
    var spread: Int { state.withLock(\.links.count) * 2 }

    /// Ends a machine's link. The machine reconnects at once.
    public func replace(machine id: String, reason: String) {
        guard let link = state.withLock({ $0.machines[id]?.link }) else { return }
        link.loop.execute { link.connection.value.cut(LinkError(.replaced, reason)) }
    }

    /// Closes a machine's link.
    public func cut(machine id: String, reason: String) {
        guard let link = state.withLock({ $0.machines[id]?.link }) else { return }
        link.loop.execute { link.connection.value.cut(LinkError(.unauthorized, reason)) }
    }

    func forgetTakeovers() { state.withLock { $0.takeovers.clearAway(now: .now()) } }
}
