import ArgumentParser
import Client
import Model
import Wire

/// `postern domain …`: an organisation's own host names for tunnels.
struct DomainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "domain", abstract: "Manages your own host names for tunnels.",
        discussion: """
            Example: postern domain add app.example.org       (prints the DNS records to set)
                     postern domain verify app.example.org
                     postern domain route app.example.org demo
            """,
        subcommands: [
            DomainAdd.self, DomainVerify.self, DomainRoute.self, DomainList.self, DomainShow.self, DomainRemove.self,
        ], aliases: ["domains"])

    /// The records to set, and what is left to do.
    static func write(_ domain: DomainResource) {
        Output.line("Name         \(domain.name)")
        Output.line("State        \(domain.state)")
        if let tunnel = domain.tunnel { Output.line("Tunnel       \(tunnel) (\(domain.tlsMode ?? ""))") }
        if domain.tlsMode == "termination" {
            let end = domain.tlsNotAfter.map { ", until \($0)" } ?? ""
            Output.line("Certificate  \(domain.tlsStatus)\(end)\(domain.tlsLastError.map { ": \($0)" } ?? "")")
        }
        Output.line("Checked      \(domain.checkedAt ?? "never")")
        writeRecords(domain)
    }

    static func writeRecords(_ domain: DomainResource) {
        Output.line("")
        TextTable.write(["TYPE", "NAME", "VALUE"], domain.records.map { [$0.type, $0.name, $0.value] })
    }
}

struct DomainAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Adds a host name and prints the DNS records to set.",
        discussion: "Example: postern domain add app.example.org")

    @Argument(help: "The host name.")
    var name: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let made = try await TunnelCommand.api().add(domain: name)
        if json { return Output.json(made) }
        Output.line("Set these records at \(made.name)'s DNS provider:")
        DomainCommand.writeRecords(made)
        Output.line("")
        Output.line(
            "A name at the top of its zone cannot have a CNAME: give it A and AAAA records with the server's addresses."
        )
        Output.line("Then: postern domain verify \(made.name)")
    }
}

struct DomainVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Checks the DNS records, and lists what is still missing.",
        discussion: """
            Example: postern domain verify app.example.org
                     postern domain verify app.example.org --wait
            """)

    /// The interval between two checks with --wait, in seconds. DNS changes take minutes.
    private static let pause = 10

    @Argument(help: "The domain's name or id.")
    var domain: String

    @Flag(help: "Check again until the domain is verified; Ctrl-C stops.")
    var wait = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let found = try await verified()
        if json {
            Output.json(found)
        } else {
            for problem in found.problems ?? [] { Output.line("\(problem)") }
            if found.state == "unverified" {
                Output.line("Not verified yet.")
            } else {
                let next = found.tunnel == nil ? "; next: postern domain route \(found.name) TUNNEL" : ""
                Output.line("\(found.name) is verified\(next)")
            }
        }
        if found.state == "unverified" { throw ExitCode.failure }
    }

    private func verified() async throws -> DomainResource {
        let api = try TunnelCommand.api()
        var said: [String] = []
        while true {
            let found: DomainResource
            do { found = try await api.verify(domain: domain) } catch let error as ClientError
                where wait && error.status == .tryAgain
            {
                // The server is busy or restarts.
                try await Task.sleep(for: .seconds(Self.pause))
                continue
            }
            guard wait, found.state == "unverified" else { return found }
            let problems = found.problems ?? []
            if problems != said {
                for problem in problems { Output.error("\(problem)") }
                Output.error("Waiting …")
                said = problems
            }
            try await Task.sleep(for: .seconds(Self.pause))
        }
    }
}

struct DomainRoute: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Points a domain at a tunnel, or removes its tunnel.",
        discussion: """
            Example: postern domain route app.example.org demo
                     postern domain route app.example.org --nowhere
            """)

    @Argument(help: "The domain's name or id.")
    var domain: String

    @Argument(help: "The tunnel's name or id.")
    var tunnel: String?

    @Flag(help: "Remove the domain's tunnel.")
    var nowhere = false

    @Option(help: ArgumentHelp("termination or passthrough; defaults to the tunnel's kind.", valueName: "mode"))
    var tls: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (tunnel == nil) == nowhere else { throw ValidationError("Give a tunnel, or use --nowhere.") }
    }

    func run() async throws {
        let routed = try await TunnelCommand.api().route(
            domain: domain, DomainRouteChange(tunnelId: tunnel, tlsMode: tls))
        if json { return Output.json(routed) }
        Output.line(routed.tunnel.map { "\(routed.name) points to \($0)." } ?? "\(routed.name) has no tunnel now.")
    }
}

struct DomainList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists your organisation's domains.",
        discussion: "Example: postern domain list --json")

    @Flag(help: "Print one JSON object per line.")
    var json = false

    func run() async throws {
        let all = try await TunnelCommand.api().domains()
        if json { return all.forEach { Output.json($0) } }
        guard !all.isEmpty else { return Output.line("No domains. 'postern domain add app.example.org' adds one.") }
        TextTable.write(
            ["NAME", "STATE", "TUNNEL", "CERTIFICATE", "UNTIL"],
            all.map { [$0.name, $0.state, $0.tunnel ?? "", $0.tlsStatus, $0.tlsNotAfter ?? ""] })
    }
}

struct DomainShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one domain with its DNS records.",
        discussion: "Example: postern domain show app.example.org")

    @Argument(help: "The domain's name or id.")
    var domain: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let found = try await TunnelCommand.api().domain(domain)
        if json { return Output.json(found) }
        DomainCommand.write(found)
    }
}

struct DomainRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Releases a domain; it stays reserved for your organisation for 90 days.",
        discussion: "Example: postern domain remove app.example.org")

    @Argument(help: "The domain's name or id.")
    var domain: String

    func run() async throws {
        try await TunnelCommand.api().remove(domain: domain)
        Output.line("Removed.")
    }
}
