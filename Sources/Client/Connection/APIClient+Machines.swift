public import Model
import NIOHTTP1
public import Wire

extension APIClient {
    /// - Throws: ``ClientError``.
    public func invite() async throws -> MachineInvitation {
        try await call(.POST, "/machines/invitations", MachineInvitation.self)
    }

    /// - Throws: ``ClientError``.
    public func enrol(_ machine: NewMachine) async throws -> MachineResource {
        try await call(.POST, "/machines", MachineResource.self, body: machine)
    }

    /// - Parameter all: whether to list the machines of all members of the organisation.
    public func machines(all: Bool) async throws -> [MachineResource] {
        try await call(.GET, all ? "/machines?all=yes" : "/machines", [MachineResource].self)
    }

    /// - Parameter named: the machine's id or name.
    public func machine(_ named: String) async throws -> MachineResource {
        try await call(.GET, "/machines/\(PercentEncoding.encoded(named))", MachineResource.self)
    }

    public func rename(machine named: String, to name: String) async throws -> MachineResource {
        try await call(
            .PATCH, "/machines/\(PercentEncoding.encoded(named))", MachineResource.self,
            body: MachineChange(name: name))
    }

    public func revoke(machine named: String) async throws {
        try await call(.DELETE, "/machines/\(PercentEncoding.encoded(named))")
    }
}
