import Database
import Operations
import Relay
import Sockets
import Telemetry

/// The services that routes use, created once.
struct WebServices: Sendable {
    let configuration: WebConfiguration
    let parts: WebParts
    let authenticator: Authenticator
    let accounts: AccountOperations
    let credentials: CredentialOperations
    let signOn: SignOnOperations
    let organisations: OrganisationOperations
    let shares: ShareOperations
    let relay: RelayServer
    let tunnels: TunnelOperations
    let machines: MachineOperations
    let domains: DomainOperations
    let access: AccessOperations
    let events: ConnectionEvents
    let board: StatusChecks

    var database: Database { parts.database }
}
