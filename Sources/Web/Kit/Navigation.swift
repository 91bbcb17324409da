import Model
import Storage

/// A page in the navigation of signed-in people.
struct NavigationLink: Sendable {
    /// The topic of a page. The navigation has a list for each.
    enum Group: CaseIterable, Sendable {
        case organisation, account, server
    }

    let path: String
    let title: String
    let group: Group
    /// Shown only if the person's role in the organisation has it.
    var permission: PermissionKey?
    /// Not shown in an account's personal organisation.
    var isForTeams = false
}

/// The navigation around the content of a signed-in person's page.
struct Navigation {
    private static let links = WebFeature.all.flatMap(\.navigation)

    let visit: Visit
    /// The person's membership in the browser's current organisation. Nil on pages without one: an error, a deleted organisation.
    let member: Member?
    /// The path of the page.
    let path: String

    /// - Parameters:
    ///   - live: attributes that name the changes for which the open page updates itself.
    func wrapped(title: String, _ content: HTML, above: HTML = "", live: HTML? = nil) -> HTML {
        let inside: HTML = live.map { "<div id=\"live\" \($0)>\(content)</div>" } ?? content
        return """
            <a class="skip" href="#content">Skip to the content</a><div class="frame"><header class="side">\(Page.brand("/home"))\
            <input type="checkbox" id="menu" class="unseen"><label for="menu" class="button">Menu</label>\
            <div class="menu"><nav aria-label="Pages">\(home)\(NavigationLink.Group.allCases.map(list).joined())</nav>\(foot)</div></header>\
            <main class="content" id="content" tabindex="-1"><h1>\(title)</h1>\(above)\(inside)</main></div>
            """
    }

    private var home: HTML { "<ul>\(item("/home", "Overview"))</ul>" }

    private var foot: HTML {
        """
        <div class="foot"><ul>\(item("/docs", "Documentation"))\(item("/status", "Status"))</ul>\
        <form method="post" action="/sign-out">\(visit.formToken.field)\
        <p class="small">Signed in as <strong>\(visit.caller.user.username)</strong></p><button>Sign out</button></form></div>
        """
    }

    private func list(_ group: NavigationLink.Group) -> HTML {
        let shown = Self.links.filter { $0.group == group && isShown($0) }
        if shown.isEmpty { return "" }
        let title =
            switch group {
            case .organisation: member?.organisation.name ?? "Organisation"
            case .account: "Your account"
            case .server: "This server"
            }
        return "<h2>\(title)</h2><ul>\(shown.map { item($0.path, $0.title) }.joined())</ul>"
    }

    private func isShown(_ link: NavigationLink) -> Bool {
        if link.group == .server { return visit.caller.user.isAdmin }
        if link.isForTeams, member?.organisation.personalOf != nil { return false }
        return link.permission.map { member?.may($0) ?? false } ?? true
    }

    private func item(_ path: String, _ title: String) -> HTML {
        "<li><a href=\"\(path)\"\(" aria-current=\"page\"", if: path == current)>\(title)</a></li>"
    }

    /// The longest navigation link that contains the page's path.
    private var current: String? {
        (Self.links.map(\.path) + ["/home", "/docs", "/status"])
            .filter { path == $0 || path.hasPrefix($0 + "/") }.max { $0.utf8.count < $1.utf8.count }
    }
}
