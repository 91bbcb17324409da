import ArgumentParser
import Database
import Model
import NIOCore
import Storage
import Wire

/// `postern setup`: shows the one-time link again.
struct SetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Prints a one-time link that creates the first administrator.",
        discussion: """
            Example: sudo postern setup

            The link works once and for 30 minutes; links printed before stop working. If there is an administrator \
            already, 'postern user add NAME --admin' creates another.
            """)

    private struct Shown: Encodable {
        let url: String
        let minutes: Int64
    }

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withDatabase { database, configuration in
            guard let link = try await SetupLink.offer(database: database, configuration) else {
                throw CommandFailure(
                    "this server already has an administrator; 'postern user add NAME --admin' creates another")
            }
            let address = PublicAddress.known(configuration)
            try link.keep(configuration, address: address)
            let minutes = SetupLink.lifetimeSeconds / 60
            if json {
                let shown = Shown(url: "\(address)\(link.path)", minutes: minutes)
                return Output.json(shown)
            }
            Output.line("\(address)\(link.path)")
            Output.line("Works once, for \(minutes) minutes.")
            if configuration[Settings.publicURL] == nil {
                Output.line("If users reach this server at another address, use that instead, or set public-url.")
            }
        }
    }
}
