import Model
import NIOHTTP1
public import Wire

extension APIClient {
    /// - Parameter place: as in `/tunnels/demo` or `/domains/app.example.org`.
    /// - Throws: ``ClientError``.
    public func policy(of place: String) async throws -> AccessPolicy {
        try await call(.GET, "\(place)/policy", AccessPolicy.self)
    }

    /// - Throws: ``ClientError``.
    public func set(_ policy: AccessPolicy, of place: String) async throws -> AccessPolicy {
        try await call(.PUT, "\(place)/policy", AccessPolicy.self, body: policy)
    }
}
