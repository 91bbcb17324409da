import Storage

/// Who may use a route. Each route says it once; the router enforces it, and docs/permissions.md is made from it.
enum Access: Sendable, Equatable {
    /// Everybody, signed in or not.
    case anyone
    /// Every account, with whatever credential; what a token's scopes allow is looked at further in.
    case credential
    /// Every account, but not by a token that was made for less than everything.
    case account
    /// Members of the organisation that the path names, or else of the credential's own, whose role has this permission.
    case member(PermissionKey)
    /// Like `.member`, and also while the organisation is deleted and not yet purged.
    case memberEvenIfDeleted(PermissionKey)
    /// Administrators of this server.
    case administrator

    var text: String {
        switch self {
        case .anyone: "anyone"
        case .credential: "credential"
        case .account: "account"
        case .member(let key), .memberEvenIfDeleted(let key): key.rawValue
        case .administrator: "administrator"
        }
    }
}

/// How often one address may call a route; the router enforces it.
enum RouteLimit: Sendable, Equatable {
    /// As often as it likes: the route is cheap, or has a limit of its own further in.
    case none
    /// `public-calls-per-minute`: what checks a secret that could be guessed.
    case publicCalls
}

/// A route as the permission matrix lists it.
struct RouteDescription: Sendable {
    let method: String
    let path: String
    let access: Access
    /// A page in a browser, known by its cookie; everything else is the API, known by a bearer token.
    let isPage: Bool
    /// For the API's description; nil for pages.
    let about: RouteText?
}
