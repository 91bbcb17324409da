/// Who may use a tunnel or a domain, and how its requests are limited and changed. A field that is nil has no effect.
///
/// A visitor must be allowed by the addresses, and must sign in by one of ``basicAuth``, ``bearer`` and ``members`` if
/// at least one of them is set. If several policies apply to a request, each of them must allow it.
public struct AccessPolicy: Codable, Sendable, Equatable {
    /// Networks whose visitors are allowed, such as `203.0.113.0/24`; nil allows everybody.
    public var allow: [String]?
    /// Networks whose visitors are refused.
    public var deny: [String]?
    /// `NAME:PASSWORD` pairs. A visitor sends one of them (RFC 7617).
    public var basicAuth: [String]?
    /// The members of the tunnel's organisation who are allowed, by user name; empty allows all members.
    public var members: [String]?
    /// Tokens in `Authorization: Bearer` (RFC 6750).
    public var bearer: BearerPolicy?
    public var rate: RatePolicy?
    /// The maximum number of requests at the same time.
    public var concurrency: Int?
    public var breaker: BreakerPolicy?
    /// Changes of the request's fields before the service gets them.
    public var requestHeaders: HeaderEdits?
    /// Changes of the response's fields before the visitor gets them.
    public var responseHeaders: HeaderEdits?

    public init() {}

    /// Whether visitors' addresses are checked, which a plan may not include.
    public var usesAddressLists: Bool { allow != nil || deny != nil }

    /// Whether the policy has no effect.
    public var isEmpty: Bool { self == AccessPolicy() }
}

/// Signed tokens (RFC 7519) that a visitor may send.
public struct BearerPolicy: Codable, Sendable, Equatable {
    /// The required `iss`; nil accepts any.
    public var issuer: String?
    /// A required `aud`; nil accepts any.
    public var audience: String?
    /// The public keys that sign tokens, as a JSON Web Key Set (RFC 7517).
    public var keys: String

    public init(issuer: String? = nil, audience: String? = nil, keys: String) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
    }
}

/// A limit of requests.
public struct RatePolicy: Codable, Sendable, Equatable {
    /// Requests of one visitor in a minute.
    public var perMinute: Int
    /// The header that tells visitors apart; nil uses their addresses.
    public var header: String?

    public init(perMinute: Int, header: String? = nil) {
        self.perMinute = perMinute
        self.header = header
    }
}

/// Refuses requests for a while after the service has failed several times in a row.
public struct BreakerPolicy: Codable, Sendable, Equatable {
    /// Failures in a row: statuses from 500 on, and services that do not respond.
    public var failures: Int
    /// How long requests are refused, in seconds.
    public var seconds: Int

    public init(failures: Int, seconds: Int) {
        self.failures = failures
        self.seconds = seconds
    }
}

/// Changes of a message's fields.
public struct HeaderEdits: Codable, Sendable, Equatable {
    /// Fields to set, by name; they replace fields of the same name.
    public var set: [String: String]?
    /// The names of fields to remove.
    public var remove: [String]?

    public init(set: [String: String]? = nil, remove: [String]? = nil) {
        self.set = set
        self.remove = remove
    }
}
