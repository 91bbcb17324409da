import Storage

/// Who may use a route. Each route declares it once. The router enforces it, and docs/permissions.md is generated from it.
enum Access: Sendable, Equatable {
    /// Everybody, signed in or not.
    case anyone
    /// Every account, with any credential. A token's scopes are checked by the handler.
    case credential
    /// Every account, but not with a token that has restricted permissions.
    case account
    /// Members of the organisation in the path, or otherwise of the credential's own, whose role has this permission.
    case member(PermissionKey)
    /// Like `.member`, but also while the organisation is deleted and not yet purged.
    case memberEvenIfDeleted(PermissionKey)
    /// Like `.member`, but also before the single sign-on that the organisation requires.
    case memberBeforeSignOn(PermissionKey)
    /// Administrators of this server.
    case administrator

    var text: String {
        switch self {
        case .anyone: "anyone"
        case .credential: "credential"
        case .account: "account"
        case .member(let key), .memberEvenIfDeleted(let key), .memberBeforeSignOn(let key): key.rawValue
        case .administrator: "administrator"
        }
    }
}

/// How often one address may call a route. The router enforces it.
enum RouteLimit: Sendable, Equatable {
    /// Unlimited: the route is cheap, or its handler has its own limit.
    case none
    /// `public-calls-per-minute`: for routes that check a secret which could be guessed.
    case publicCalls
}

/// A route in the permission matrix.
struct RouteDescription: Sendable {
    let method: String
    let path: String
    let access: Access
    /// True for a page in a browser, which authenticates with a cookie. All other routes are the API, which uses a bearer token.
    let isPage: Bool
    /// For the API's description. Nil for pages.
    let about: RouteText?
}
