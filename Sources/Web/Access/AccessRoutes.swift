import HTTPTypes
import Hummingbird
import Model
import Operations
import Storage
import Wire

/// `/tunnels/:id/policy`, `/domains/:id/policy`: who may use a tunnel or a domain.
struct AccessRoutes: Sendable {
    let access: AccessOperations

    func add(to routes: Routes) {
        routes.open(
            .get, "/.well-known/jwks.json", limit: .none,
            about: RouteText(
                "The keys that sign X-Postern-Identity for services of private tunnels (RFC 7517)",
                .ok(KeySet.self, "A JSON Web Key Set.")), use: keys)
        add("/tunnels/:id/policy", "a tunnel", to: routes, .credential, .credential) { .tunnel($0) }
        add("/domains/:id/policy", "a domain", to: routes, .member(.domainRead), .member(.domainManage)) { .domain($0) }
    }

    @Sendable private func keys(_ request: Request, _ context: WebContext) async throws -> Response {
        let keys = try await access.publicKeys().map { KeySet.Key(kid: $0.id, x: Base64.url($0.bytes)) }
        var response = Response.json(KeySet(keys: keys))
        response.headers[.cacheControl] = "public, max-age=3600"
        return response
    }

    private func add(
        _ path: String, _ what: String, to routes: Routes, _ reading: Access, _ changing: Access,
        _ subject: @escaping @Sendable (String) -> AccessOperations.Subject
    ) {
        @Sendable func found(_ context: WebContext) throws -> AccessOperations.Subject {
            subject(FormText.decoded(try context.parameters.require("id")[...]))
        }
        routes.on(
            .get, path, for: reading,
            about: RouteText(
                "The access policy of \(what)",
                .ok(AccessPolicy.self, "The policy; passwords are replaced by asterisks."))
        ) { _, context, caller in .json(try await access.show(try found(context), by: caller)) }
        routes.on(
            .put, path, for: changing,
            about: RouteText(
                "Replaces the access policy of \(what); open connections are closed", takes: AccessPolicy.self,
                .ok(AccessPolicy.self, "The policy that applies now."))
        ) { request, context, caller in
            let policy = try await request.value(AccessPolicy.self)
            return .json(try await access.set(try found(context), policy, by: caller))
        }
        routes.on(
            .delete, path, for: changing,
            about: RouteText("Removes the access policy of \(what)", .done("Removed."))
        ) { _, context, caller in
            _ = try await access.set(try found(context), AccessPolicy(), by: caller)
            return .done
        }
    }
}

/// RFC 7517, with keys of RFC 8037.
struct KeySet: Encodable, Described {
    struct Key: Encodable {
        let kty = "OKP", crv = "Ed25519", use = "sig", alg = "EdDSA", kid: String
        let x: String
    }

    let keys: [Key]

    static let schema = Schema.named(
        "KeySet",
        [
            .field(
                "keys",
                .list(
                    .object([
                        .field("kty", .string), .field("crv", .string), .field("use", .string), .field("alg", .string),
                        .field("kid", .string), .field("x", .string),
                    ])))
        ])
}
