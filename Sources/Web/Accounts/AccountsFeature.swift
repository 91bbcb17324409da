import Identity
import Operations
import Storage

extension WebFeature {
    /// Signing in, registering, one's own account and its credentials.
    static let accounts = WebFeature(
        name: "accounts",
        navigation: [
            NavigationLink(path: "/account", title: "Account", group: .account),
            NavigationLink(path: "/account/second-factor", title: "Second factor", group: .account),
            NavigationLink(path: "/account/tokens", title: "API tokens", group: .account),
            NavigationLink(path: "/account/sign-ins", title: "Sign-ins", group: .account),
        ],
        exports: [
            ExportPart(kind: "token") { after, scope in
                let page = try APIToken.list(after: after, in: scope)
                return page.last.map { last in
                    ExportPart.Page(
                        values: page.map { ExportedToken(userId: $0.userId, token: TokenResource($0)) }, next: last.id)
                }
            }
        ],
        routes: { services, routes in
            let (database, accounts, parts) = (services.database, services.accounts, services.parts)
            SetupRoutes(
                accounts: accounts, setupLinkPath: "\(parts.stateDirectory)/\(SetupLink.fileName)",
                certificate: parts.certificate
            ).add(
                to: routes)
            AuthenticationRoutes(database: database, accounts: accounts).add(to: routes)
            ProviderRoutes(
                database: database, accounts: accounts, providers: parts.providers,
                frontends: services.configuration.accounts.frontends, logger: parts.logger
            ).add(to: routes)
            AccountRoutes(database: database, accounts: accounts, management: services.credentials).add(to: routes)
            let providers = Providers(all: parts.providers.map { .init(path: "/auth/\($0.name)", title: $0.title) })
            SignInPages(database: database, accounts: accounts, providers: providers).add(to: routes)
            AccountPages(database: database, accounts: accounts, management: services.credentials).add(to: routes)
            SecondFactorPages(management: services.credentials).add(to: routes)
            TokenPages(database: database, management: services.credentials).add(to: routes)
        })

    private struct ExportedToken: Encodable {
        let userId: String
        let token: TokenResource
    }
}
