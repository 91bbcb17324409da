import ArgumentParser
import Database
import Model
import NIOCore
import Operations
import Storage
import Wire

/// `postern organisation …`: decisions of the server's owner about organisations.
struct OrganisationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "organisation", abstract: "Lists organisations and sets their plans.",
        discussion: "Example: postern organisation set-plan workshop team",
        subcommands: [OrganisationList.self, OrganisationSetPlan.self, OrganisationUsage.self])
}

struct OrganisationList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists organisations, including personal ones.",
        discussion: "Example: postern organisation list --json | jq -r .name")

    private static let pageSize = 500

    private struct Listed: Encodable {
        let id, name, plan, createdAt: String
        let isPersonal: Bool
        let deleteAfter: String?
    }

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await server.withDatabase { database, _ in
            var last = ("", "")
            while true {
                let after = last
                let page = try await OrganisationAdministration(database: database, actor: .command)
                    .list(after: after, limit: Self.pageSize)
                page.forEach(show)
                guard page.count == Self.pageSize, let end = page.last else { return }
                last = (end.name, end.id)
            }
        }
    }

    private func show(_ one: Organisation) {
        let made = one.createdAt.iso
        let gone = one.deleteAfter.map { $0.iso }
        if json {
            let listed = Listed(
                id: one.id, name: one.name, plan: one.plan.rawValue, createdAt: made, isPersonal: one.personalOf != nil,
                deleteAfter: gone)
            return Output.json(listed)
        }
        let kind = gone.map { "deleted, until \($0)" } ?? (one.personalOf == nil ? "" : "personal")
        Output.line("\(one.id)\t\(one.name)\t\(one.plan.rawValue)\t\(kind)\t\(made)")
    }
}

struct OrganisationSetPlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set-plan",
        abstract: "Changes an organisation's plan; running sessions and tunnels are not interrupted.",
        discussion: "Example: postern organisation set-plan workshop team")

    @Argument(help: "The organisation's name or id; an account's name selects its personal organisation.")
    var organisation: String

    @Argument(help: "free, pro, team, enterprise or admin.")
    var plan: String

    @OptionGroup var server: ServerOptions

    func validate() throws { _ = try Plan.argument(plan) }

    func run() async throws {
        let (name, plan) = (organisation, try Plan.argument(self.plan))
        try await server.withDatabase { database, _ in
            try await OrganisationAdministration(database: database, actor: .command).setPlan(plan, of: name)
        }
        Output.line("\(name) is now on the plan \(plan.rawValue).")
    }
}

struct OrganisationUsage: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Prints hourly totals from the usage ledger.",
        discussion: "Example: postern organisation usage workshop --hours 48 --json")

    private struct Listed: Encodable {
        let hour, unit: String
        let amount: Int
    }

    @Argument(help: "The organisation's name or id; an account's name selects its personal organisation.")
    var organisation: String

    @Option(help: "Number of hours, including the current one.")
    var hours = 24

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard (1...87_600).contains(hours) else { throw ValidationError("--hours must be between 1 and 87600.") }
    }

    func run() async throws {
        let (name, hours) = (organisation, Int64(self.hours))
        let sums = try await server.withDatabase { database, _ in
            try await OrganisationAdministration(database: database, actor: .command).usage(of: name, hours: hours)
        }
        for sum in sums {
            let hour = ISOTime.text(milliseconds: sum.hour * 3_600_000)
            if json {
                let listed = Listed(hour: hour, unit: sum.unit.rawValue, amount: sum.amount)
                Output.json(listed)
            } else {
                Output.line("\(hour)\t\(sum.unit.rawValue)\t\(sum.amount)")
            }
        }
    }
}
