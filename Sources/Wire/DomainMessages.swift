/// A host name of an organisation's own.
public struct DomainResource: Codable, Sendable, Equatable {
    /// A DNS record that the domain's owner sets.
    public struct Record: Codable, Sendable, Equatable {
        public var type, name, value: String

        public init(type: String, name: String, value: String) {
            self.type = type
            self.name = name
            self.value = value
        }
    }

    public var id, name: String
    /// `unverified`, `verified` (it has no tunnel yet), `routed`, or `paused`: the proof is missing.
    public var state: String
    public var records: [Record]
    /// The name of the tunnel that it points to.
    @NullWhenAbsent public var tunnel: String?
    /// `termination` or `passthrough`, as the tunnel's kind is; nil without a tunnel.
    @NullWhenAbsent public var tlsMode: String?
    /// `none`, `ordering`, `issued` or `failed`.
    public var tlsStatus: String
    @NullWhenAbsent public var tlsNotAfter: String?
    @NullWhenAbsent public var tlsLastError: String?
    public var createdAt: String
    @NullWhenAbsent public var verifiedAt: String?
    @NullWhenAbsent public var checkedAt: String?
    /// What is left to do, a sentence each; only where it was asked to be verified.
    public var problems: [String]?
    /// For administrators of the server.
    public var organisation: String?

    public init(
        id: String, name: String, state: String, records: [Record], tunnel: String?, tlsMode: String?,
        tlsStatus: String, tlsNotAfter: String?, tlsLastError: String?, createdAt: String, verifiedAt: String?,
        checkedAt: String?, problems: [String]? = nil, organisation: String? = nil
    ) {
        self.id = id
        self.name = name
        self.state = state
        self.records = records
        _tunnel = NullWhenAbsent(wrappedValue: tunnel)
        _tlsMode = NullWhenAbsent(wrappedValue: tlsMode)
        self.tlsStatus = tlsStatus
        _tlsNotAfter = NullWhenAbsent(wrappedValue: tlsNotAfter)
        _tlsLastError = NullWhenAbsent(wrappedValue: tlsLastError)
        self.createdAt = createdAt
        _verifiedAt = NullWhenAbsent(wrappedValue: verifiedAt)
        _checkedAt = NullWhenAbsent(wrappedValue: checkedAt)
        self.problems = problems
        self.organisation = organisation
    }
}

/// A name to add.
public struct NewDomain: Codable, Sendable, Equatable {
    public var name: String

    public init(name: String) { self.name = name }
}

/// The new tunnel of a domain.
public struct DomainRouteChange: Codable, Sendable, Equatable {
    /// The tunnel's name or id; nil for nowhere.
    public var tunnelId: String?
    /// `termination` or `passthrough`; nil for whatever the tunnel's kind is.
    public var tlsMode: String?

    public init(tunnelId: String?, tlsMode: String? = nil) {
        self.tunnelId = tunnelId
        self.tlsMode = tlsMode
    }
}
