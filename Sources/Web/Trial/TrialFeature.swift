import Hummingbird
import Operations
import Storage

extension WebFeature {
    static let trial = WebFeature(
        name: "trial", navigation: [NavigationLink(path: "/trial", title: "Links")],
        routes: { services, routes in TrialRoutes(links: TrialOperations(database: services.database)).add(to: routes) }
    )
}

private struct NewLink: Decodable, Described {
    let list, url: String
    static let schema = Schema.object([.field("list", .string), .field("url", .string)])
}

private struct TrialRoutes: Sendable {
    let links: TrialOperations

    func add(to routes: Routes) {
        routes.on(
            .post, "/trial", for: .member(.trialWrite),
            about: RouteText("Adds a link to a list", takes: NewLink.self, .done())
        ) { request, _, caller in
            let asked = try await request.value(NewLink.self)
            try await links.add(asked.url, to: asked.list, by: caller)
            return .done
        }
        routes.on(
            .get, "/trial/:list", for: .member(.trialWrite),
            about: RouteText("The links of a list", .json(200, .list(.string), "In their order."))
        ) { _, context, caller in
            .json(try await links.links(of: try context.parameters.require("list"), by: caller))
        }
        routes.page(.get, "/trial", for: .member(.trialWrite)) { page in
            let found = try await links.links(of: page.query("list") ?? "all", by: page.caller)
            return page.page("Links", Field.table("Links", ["Address"], found.map { ["\($0)"] }))
        }
    }
}
