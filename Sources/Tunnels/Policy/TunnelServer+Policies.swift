public import Model
import NIOCore
import Synchronization

/// Stored policies, and the members who may use private tunnels.
extension TunnelServer {
    /// Replaces all stored policies. Open connections to what they concern are closed if the policy has changed.
    /// - Parameters:
    ///   - tunnels: by the tunnel's id.
    ///   - domains: by the domain's id.
    public func apply(tunnels: [String: CompiledPolicy], domains: [String: CompiledPolicy]) {
        let changed = state.withLock { state in
            let old = (state.tunnelPolicies, state.domainPolicies)
            state.tunnelPolicies = tunnels
            state.domainPolicies = domains
            return state.tunnels.values.filter { handle in
                let id = handle.grant.id
                if old.0[id]?.number != tunnels[id]?.number { return true }
                return state.domains.values.contains { target in
                    target.tunnelId == id && old.1[target.domainId]?.number != domains[target.domainId]?.number
                }
            }.map { ($0, Self.numbers($0.grant.id, state)) }
        }
        for (handle, numbers) in changed {
            handle.loop.execute { handle.live.value.policyChanged(keeping: numbers) }
        }
    }

    /// The id of the tunnel that a host leads to; nil if there is none.
    public func tunnelId(ofHost host: String) -> String? {
        guard let place = place(of: host) else { return nil }
        if let id = place.tunnelId { return id }
        return state.withLock { $0.names[place.tunnelName]?.grant.id ?? $0.known[place.tunnelName]?.id }
    }

    /// Lets a member's browser in on the host of a private tunnel.
    /// - Parameters:
    ///   - host: as ``tunnelId(ofHost:)`` knows it.
    ///   - state: what the browser brought from the host.
    /// - Returns: the address on that host to which the browser goes next.
    public func admit(_ member: EdgeMember, host: String, state: String) -> String {
        let code = members.makeCode(for: member, host: host, state: state)
        return "https://\(host)\(portSuffix)\(MemberGate.callbackPath)?code=\(code)&state=\(state)"
    }

    /// Signs members' identities for services from now on.
    public func use(_ signer: IdentitySigner) { identities.use(signer) }

    /// Members with a sign-in on some private tunnel, for checking them again.
    public var signedInMembers: [EdgeMember] { members.members }

    /// Members whose connections are open now.
    public func visitingMembers() async -> [EdgeMember] {
        var found: [EdgeMember] = []
        for handle in state.withLock({ Array($0.tunnels.values) }) {
            found += (try? await handle.loop.submit { handle.live.value.members }.get()) ?? []
        }
        return found
    }

    /// Ends sign-ins of members, and closes their connections.
    public func endMembers(where isMeant: @escaping @Sendable (EdgeMember) -> Bool) {
        // Also without a session here: it may have been dropped while its connections go on.
        members.remove(where: isMeant)
        for handle in state.withLock({ Array($0.tunnels.values) }) {
            handle.loop.execute { handle.live.value.closeMembers(where: isMeant) }
        }
    }
}
