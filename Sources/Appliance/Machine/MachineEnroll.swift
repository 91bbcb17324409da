import Agent
import ArgumentParser
import Client
import Database
import Glibc
import Model
import TransportSecurity
import Wire

/// `postern machine enroll`: creates a key for this machine and enrols it at the server.
struct MachineEnroll: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enroll", abstract: "Enrols this machine with a code, or with your own token.",
        discussion: """
            Example: sudo postern machine enroll https://box.example k7m2p9qa-x4tz8wbc
                     postern machine enroll --state ~/machine      (with the token that 'postern login' stored)
                     sudo -E postern machine enroll                (the same for the package's service)

            The code comes from the Machines page or from 'postern machine invite'. The key is created here and stays here. Run \
            as root where the package is installed, this also starts the service postern-agent; otherwise run \
            'postern agent' yourself. The machine's tunnels are configured in /etc/postern-agent/agent.yml.
            """)

    @Argument(help: "The server's address, as in https://box.example.")
    var url: String?

    @Argument(help: "The code; without it your token is used.")
    var code: String?

    @Option(help: "The machine's name; defaults to its host name.")
    var name: String?

    @Flag(help: "Allow the server to assign addresses to services of this machine; this is the default.")
    var tunnels = false

    @Flag(help: "Create a new key even if this machine has one, for example after its disk was copied.")
    var newKey = false

    @Flag(help: "Enrol only; do not start the service.")
    var noStart = false

    @Option(
        help: ArgumentHelp("The fingerprint of the server's certificate; no other is accepted.", valueName: "sha256:…"),
        transform: Fingerprint.argument)
    var fingerprint: Fingerprint?

    @OptionGroup var state: MachineStateOption

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let machine = state.machine
        try machine.makeDirectory()
        let (address, token) = try await server()
        let api = APIClient(address: address, token: token)
        let link = try await api.link()
        let key = try self.key(machine)
        let enrolled = try await api.enrol(
            NewMachine(
                certificate: try key.certificatePEM(), code: code, name: name, hostName: MachinePlatform.hostName,
                allows: [.tunnels], software: "postern \(Postern.version)", platform: MachinePlatform.text))
        try machine.save(
            .init(
                url: address.description, fingerprint: address.pin?.description, linkKey: link.key, id: enrolled.id,
                name: enrolled.name, allows: enrolled.allows), key: key)
        let service = AgentService(directory: machine.directory)
        service.giveFilesAway()
        let isStarted = noStart ? false : try await service.start()
        if json { return Output.json(enrolled) }
        Output.line("Enrolled as \(enrolled.name) at \(address).")
        guard isStarted else {
            let option = machine.directory == MachineState.standardDirectory ? "" : " --state \(machine.directory)"
            return Output.line("Run 'postern agent\(option)' to connect it.")
        }
        try await report(machine)
    }

    /// A new key is stored before it is sent to the server: if the response is lost, the next attempt uses the same key.
    private func key(_ machine: MachineState) throws -> CertificatePair {
        if !newKey, let key = try machine.key() { return key }
        let key = try machine.nextKey() ?? MachineState.makeKey()
        try machine.saveNext(key)
        return key
    }

    /// The server, and the token of the person who is signed in there. The token is empty if a code is used.
    private func server() async throws -> (ServerAddress, token: String) {
        guard let url else {
            guard let credentials = try Credentials.find() else {
                throw ClientError(
                    geteuid() == 0
                        ? "root is not signed in anywhere; use a code (postern machine invite), or 'sudo -E' with your own sign-in"
                        : "you are not signed in; run 'postern login URL', or use a code: postern machine enroll URL CODE"
                )
            }
            return (try credentials.address(), credentials.token)
        }
        if code == nil && !url.contains(".") && !url.contains(":") && url.contains("-") && url != "localhost" {
            throw ClientError(
                "'\(url)' looks like a code; the server's address comes first: postern machine enroll https://HOST \(url)",
                status: .usage)
        }
        let named = ServerAddress.completed(url)
        var address = try ServerAddress(named, pin: fingerprint)
        let stored = code == nil ? try Credentials.find(url: named) : nil
        if code == nil && stored == nil {
            throw ClientError("give a code from 'postern machine invite', or sign in first: postern login \(address)")
        }
        if address.pin == nil, let pin = stored?.fingerprint.flatMap(Fingerprint.init) { address.pin = pin }
        if address.isSecure && address.pin == nil { address.pin = try await LoginCommand.pin(of: address) }
        return (address, stored?.token ?? "")
    }

    /// Polls until there is a link, or until it is clear that there will be none.
    private func report(_ machine: MachineState) async throws {
        for _ in 0..<Self.looks {
            try await Task.sleep(for: Self.lookPause)
            guard let status = try await ControlClient.ask(.status, at: machine.socketPath) else { continue }
            if status.isOnline == true {
                return Output.line("Connected. 'sudo postern machine status' shows its state.")
            }
            if let reason = status.reason, reason != "connecting" {
                throw ClientError(
                    "the service is running but not connected yet: \(reason); it keeps trying", status: .tryAgain)
            }
        }
        throw ClientError("the service is not connected yet; see: journalctl -u postern-agent", status: .tryAgain)
    }

    private static let looks = 50
    private static let lookPause = Duration.milliseconds(300)
}

/// The machine's description of itself.
enum MachinePlatform {
    static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "machine" }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// `linux x86_64`
    static var text: String {
        var found = utsname()
        guard uname(&found) == 0 else { return "linux" }
        return "\(read(&found.sysname).lowercased()) \(read(&found.machine))"
    }

    private static func read<Field>(_ field: inout Field) -> String {
        withUnsafeBytes(of: &field) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
