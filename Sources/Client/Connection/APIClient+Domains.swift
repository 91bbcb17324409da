import Model
import NIOHTTP1
public import Wire

extension APIClient {
    private static func path(_ named: String, _ verb: String = "") -> String {
        "/domains/\(PercentEncoding.encoded(named))\(verb)"
    }

    /// - Throws: ``ClientError``.
    public func add(domain name: String) async throws -> DomainResource {
        try await call(.POST, "/domains", DomainResource.self, body: NewDomain(name: name))
    }

    /// - Throws: ``ClientError``.
    public func domains() async throws -> [DomainResource] { try await call(.GET, "/domains", [DomainResource].self) }

    /// - Parameter named: its name or its id.
    /// - Throws: ``ClientError``.
    public func domain(_ named: String) async throws -> DomainResource {
        try await call(.GET, Self.path(named), DomainResource.self)
    }

    /// - Throws: ``ClientError``.
    public func verify(domain named: String) async throws -> DomainResource {
        try await call(.POST, Self.path(named, "/verify"), DomainResource.self)
    }

    /// - Throws: ``ClientError``.
    public func route(domain named: String, _ change: DomainRouteChange) async throws -> DomainResource {
        try await call(.POST, Self.path(named, "/route"), DomainResource.self, body: change)
    }

    /// - Throws: ``ClientError``.
    public func remove(domain named: String) async throws { try await call(.DELETE, Self.path(named)) }
}
