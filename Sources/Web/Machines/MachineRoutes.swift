import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Tunnels
import Wire

/// `/machines…`: computers that connect to this server with their own key.
struct MachineRoutes: Sendable {
    let machines: MachineOperations
    let authenticator: Authenticator
    let resources: MachineResources

    func add(to routes: Routes) {
        routes.on(
            .get, "/machines", for: .credential,
            about: RouteText(
                "The caller's machines",
                query: [.init("all", .words(["yes", "no"]), "All in the organisation; needs machine:read.")],
                .ok([MachineResource].self, "By name.")), use: list)
        routes.open(
            .post, "/machines", limit: .publicCalls,
            about: RouteText(
                "Enrols a machine by a code or the caller's token; the same key is the same machine",
                takes: NewMachine.self, .created(MachineResource.self, "The machine; it can connect now.")), use: enrol)
        routes.on(
            .post, "/machines/invitations", for: .member(.machineEnroll),
            about: RouteText(
                "Creates a code that enrols one machine within 30 minutes",
                .created(MachineInvitation.self, "The code is shown only once.")), use: invite)
        routes.on(
            .get, "/machines/:id", for: .credential,
            about: RouteText("One machine, by its id or name", .ok(MachineResource.self, "The machine.")), use: show)
        routes.on(
            .patch, "/machines/:id", for: .credential,
            about: RouteText(
                "Renames a machine", takes: MachineChange.self,
                .ok(MachineResource.self, "The machine.")), use: rename)
        routes.on(
            .delete, "/machines/:id", for: .credential,
            about: RouteText("Revokes a machine and closes its connection", .done("Revoked.")), use: revoke)
    }

    /// `?all=yes` for all machines, if the role allows it.
    @Sendable private func list(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        let all = try await machines.list(all: try request.yesOrNo("all"), by: caller)
        return .json(all.map(resources.resource))
    }

    @Sendable private func enrol(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked = try await request.value(NewMachine.self)
        guard let key = MachineKey.fingerprint(certificate: asked.certificate) else {
            throw APIError.badRequest("certificate must be one self-signed certificate in PEM")
        }
        guard !asked.allows.isEmpty else {
            throw APIError.badRequest("allows must not be empty; for example [\"tunnels\"]")
        }
        let enrolment = Machine.Enrolment(
            name: asked.name, hostName: asked.hostName, fingerprint: key, allows: asked.allows,
            software: asked.software, platform: asked.platform)
        let made: Machine
        if let code = asked.code {
            made = try await machines.enrol(enrolment, code: code, from: context.address)
        } else {
            made = try await machines.enrol(enrolment, by: try await authenticator.caller(of: request, context))
        }
        return .json(resources.resource(made), status: .created)
    }

    @Sendable private func invite(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        let (code, secret) = try await machines.invite(by: caller)
        return .json(resources.invitation(code, secret, request), status: .created)
    }

    @Sendable private func show(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response {
        .json(resources.resource(try await machines.show(try context.parameters.require("id"), by: caller).0))
    }

    @Sendable private func rename(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        let id = try context.parameters.require("id")
        let change = try await request.value(MachineChange.self)
        try await machines.rename(id, to: change.name, by: caller)
        return .json(resources.resource(try await machines.show(change.name, by: caller).0))
    }

    @Sendable private func revoke(_ request: Request, _ context: WebContext, _ caller: Caller) async throws -> Response
    {
        try await machines.revoke(try context.parameters.require("id"), by: caller)
        return .done
    }
}
