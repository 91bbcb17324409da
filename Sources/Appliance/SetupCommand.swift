import ArgumentParser
import Storage

/// `postern setup`: the one-time link, once more.
struct SetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Prints a one-time link that makes the first administrator.",
        discussion: """
            Example: sudo postern setup

            The link works once and for 30 minutes; links printed before stop working. Where there is an administrator
            already, 'postern user add NAME --admin' makes another.
            """)

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withDatabase { database, configuration in
            guard let link = try await SetupLink.offer(database: database, configuration) else {
                throw CommandFailure(
                    "this server has an administrator already; 'postern user add NAME --admin' makes another")
            }
            let base = configuration.publicURL ?? "https://\(HostName.own ?? "localhost")"
            Output.line("\(base)\(link.path)")
            Output.line("Works once, for \(SetupLink.lifetimeSeconds / 60) minutes.")
            if configuration.publicURL == nil {
                Output.line("If people reach this server by another address, put that in, or set public-url.")
            }
        }
    }
}
