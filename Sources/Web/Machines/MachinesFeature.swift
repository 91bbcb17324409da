import Model
import Operations
import Storage
import TransportSecurity
import Tunnels
import Wire

extension WebFeature {
    /// Computers that connect to this server with their own key.
    static let machines = WebFeature(
        name: "machines",
        navigation: [
            NavigationLink(
                path: "/organisation/machines", title: "Machines", group: .organisation, permission: .tenantRead)
        ],
        exports: [
            ExportPart(kind: "machine") { after, scope in
                let page = try Machine.history(after: after, in: scope)
                return page.last.map { ExportPart.Page(values: page.map(ExportedMachine.init), next: $0.id) }
            }
        ],
        routes: { services, routes in
            let certificate = services.parts.certificate
            let resources = MachineResources(
                publicURL: services.configuration.accounts.publicURL,
                fingerprint: { certificate().flatMap { $0.facts.isSelfSigned ? "\($0.facts.fingerprint)" : nil } })
            MachineRoutes(
                machines: services.machines, authenticator: services.authenticator, resources: resources
            ).add(to: routes)
            MachinePages(
                machines: services.machines,
                tunnels: TunnelResources(server: services.tunnels.server, isTrusted: services.parts.trusts),
                resources: resources
            ).add(to: routes)
        })

    private struct ExportedMachine: Encodable {
        let id: String
        let name: String
        let fingerprint: String
        let platform: String
        let enrolledAt: String
        let lastSeenAt, revokedAt: String?

        init(_ machine: Machine) {
            id = machine.id
            name = machine.name
            fingerprint = machine.fingerprint
            platform = machine.platform
            enrolledAt = machine.enrolledAt.iso
            lastSeenAt = machine.seenAt?.iso
            revokedAt = machine.revokedAt?.iso
        }
    }
}

extension NewMachine: Described {
    static let schema = Schema.named(
        "NewMachine",
        [
            .field("certificate", .string, "One self-signed certificate of the machine's key, in PEM."),
            .absentOrNull("code", .string, "From POST /machines/invitations; without it, the caller's token is used."),
            .absentOrNull("name", .string, "The host name if absent."),
            .field("hostName", .string),
            .field("allows", .list(.words(MachineAllowance.allCases.map(\.rawValue)))),
            .field("software", .string, "Name and version."),
            .field("platform", .string, "Operating system and architecture."),
        ])
}

extension MachineInvitation: Described {
    static let schema = Schema.named(
        "MachineInvitation",
        [
            .field("code", .string), .field("expiresAt", .time),
            .field("command", .string, "What to run on the machine."),
        ])
}

extension MachineChange: Described {
    static let schema = Schema.named("MachineChange", [.field("name", .string)])
}

extension MachineReport: Described {
    static let schema = Schema.named(
        "MachineReport",
        [
            .field("load", .list(.number), "Averages over 1, 5 and 15 minutes."), .field("processors", .integer),
            .field("memoryTotal", .integer, "Bytes."), .field("memoryAvailable", .integer, "Bytes."),
            .field("diskTotal", .integer, "Bytes."), .field("diskFree", .integer, "Bytes."),
            .field("uptime", .integer, "Seconds."), .field("tunnels", .integer, "Currently served."),
        ])
}

extension MachineResource: Described {
    static let schema = Schema.named(
        "Machine",
        [
            .field("id", .string), .field("name", .string), .field("state", .words(["online", "offline"])),
            .field("owner", .string, "Who enrolled it."),
            .field("fingerprint", .string, "SHA-256 of its public key."),
            .field("allows", .list(.words(MachineAllowance.allCases.map(\.rawValue)))),
            .field("software", .string), .field("platform", .string), .field("enrolledAt", .time),
            .nullable("lastSeenAt", .time), .nullable("address", .string), .nullable("onlineSince", .time),
            .nullable("roundTripMilliseconds", .number), .nullable("report", MachineReport.schema),
            .nullable("problem", .string, "Why it is blocked."),
        ])
}
