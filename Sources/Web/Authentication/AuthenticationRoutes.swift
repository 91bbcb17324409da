import Hummingbird
import Storage
import Wire

/// `/auth/…`: signing in, and who one is.
struct AuthenticationRoutes: Sendable {
    let authenticator: Authenticator
    let limiter: RateLimiter

    func add(to router: Router<WebContext>) {
        router.post("/auth/token") { request, context in
            if let wait = limiter.refuse(context.address) { throw APIError.rateLimited(retryAfter: wait) }
            let user = try await authenticator.user(of: request)
            return Response.json(try await authenticator.accessToken(for: user, now: .now()))
        }
        router.get("/auth/me") { request, _ in
            let user = try await authenticator.user(of: request)
            return Response.json(
                UserResource(id: user.id, username: user.username, email: user.email, tier: user.tier))
        }
    }
}
