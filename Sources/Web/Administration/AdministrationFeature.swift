import Operations
import Storage

extension WebFeature {
    /// The pages and actions of the server's administrators.
    static let administration = WebFeature(
        name: "administration",
        navigation: [
            NavigationLink(path: "/administration", title: "Administration", group: .server),
            NavigationLink(path: "/administration/people", title: "Users", group: .server),
            NavigationLink(path: "/administration/organisations", title: "All organisations", group: .server),
            NavigationLink(path: "/administration/tunnels", title: "All tunnels", group: .server),
            NavigationLink(path: "/administration/domains", title: "All domains", group: .server),
            NavigationLink(path: "/administration/notices", title: "Notices", group: .server),
            NavigationLink(path: "/administration/certificate", title: "Certificate", group: .server),
            NavigationLink(path: "/administration/backups", title: "Backups", group: .server),
            NavigationLink(path: "/administration/settings", title: "Settings", group: .server),
            NavigationLink(path: "/administration/audit", title: "Server audit log", group: .server),
        ],
        routes: { services, routes in
            let (database, organisations) = (services.database, services.organisations)
            AdministrationRoutes(database: database, service: organisations).add(to: routes)
            AdministrationPages(services: services).add(to: routes)
            PeoplePages(database: database, mail: organisations.mail).add(to: routes)
            OrganisationListPages(database: database, service: organisations).add(to: routes)
            NoticePages(database: database).add(to: routes)
            AppliancePages(parts: services.parts).add(to: routes)
            AboutPages(database: database, authenticator: services.authenticator).add(to: routes)
            #if DEBUG
            ComponentsPage().add(to: routes)
            #endif
        })
}
