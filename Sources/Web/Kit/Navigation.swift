import Model
import Storage

/// A page that stands in the navigation of people who are signed in.
struct NavigationLink: Sendable {
    /// What the page is about; the navigation has a list of each.
    enum Group: CaseIterable, Sendable {
        case organisation, account, server
    }

    let path: String
    let title: String
    let group: Group
    /// Shown to those whose role in the organisation has it.
    var permission: PermissionKey?
    /// Not shown in the organisation that each account has for itself.
    var isForTeams = false
}

/// What is around the content of a page of somebody who is signed in.
struct Navigation {
    private static let links = WebFeature.all.flatMap(\.navigation)

    let visit: Visit
    /// What the person is in the organisation that this browser is in; nil where the page has to do without: an error, a deleted organisation.
    let member: Member?
    /// The path of the page.
    let path: String

    /// - Parameters:
    ///   - live: attributes that say what the page follows while it is open.
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

    /// The longest link that the page stands below.
    private var current: String? {
        (Self.links.map(\.path) + ["/home", "/docs", "/status"])
            .filter { path == $0 || path.hasPrefix($0 + "/") }.max { $0.utf8.count < $1.utf8.count }
    }
}
