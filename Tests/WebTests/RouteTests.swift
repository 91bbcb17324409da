import Database
import HTTPTypes
import Model
import Storage
import Testing

@testable import Web

/// Routes in this process: a typing mistake in a path, an access or an error shape is found in seconds.
@Suite struct RouteTests {
    @Test func everyGetIsAnsweredAlsoAsHead() async throws {
        let client = try await TestClient()
        for path in ["/", "/health", "/openapi.json", "/sign-in", "/codes/SYCLX-AAAAAA/validate"] {
            #expect(try await client.call(.get, path).status == 200, "\(path)")
            #expect(try await client.call(.head, path).status == 200, "\(path)")
        }
    }

    @Test func aKnownPathSaysWhichMethodsItTakes() async throws {
        let client = try await TestClient()
        let refused = try await client.call(.put, "/sessions/abc/codes")
        #expect(refused.status == 405 && refused.headers[.allow] == "GET, HEAD, OPTIONS, POST")
        #expect(refused.body.contains("\"code\":\"method_not_allowed\"") && refused.body.contains("requestId"))
        let asked = try await client.call(.options, "/sessions")
        #expect(asked.status == 204 && asked.headers[.accessControlAllowOrigin] == "*")
        #expect(try await client.call(.get, "/nowhere").status == 404)
        // Pages are no API: no other site may read them.
        #expect(try await client.call(.options, "/account").headers[.accessControlAllowOrigin] == nil)
        // Nor what programs of this machine may read without a token.
        #expect(try await client.call(.options, "/metrics").headers[.accessControlAllowOrigin] == nil)
    }

    @Test func aBodyThatIsAnnouncedAsTooLongIsNotRead() async throws {
        let client = try await TestClient()
        let ana = try await client.account("ana")
        let refused = try await client.call(
            .post, "/sessions", token: ana.token, headers: [.contentLength: "99999999"])
        #expect(refused.status == 413 && refused.headers[.connection] == "close")
    }

    @Test func sessionsAndCodesLiveAndAStrangersAreUnknown() async throws {
        let client = try await TestClient()
        let (ana, ben) = (try await client.account("ana"), try await client.account("ben"))
        let made = try await client.call(.post, "/sessions", token: ana.token, body: #"{"hostPublicKey":"k"}"#)
        // The room opens on an event loop, which this process has.
        #expect(made.status == 201)
        let missing = try await client.call(.delete, "/codes/SYCLX-AAAAAA", token: ben.token)
        #expect(missing.status == 404 && missing.body.contains("Code not found"))
        #expect(try await client.call(.post, "/sessions", token: ana.token, body: "{}").body.contains("hostPublicKey"))
        #expect(try await client.call(.get, "/sessions?all=null", token: ana.token).status == 400)
        #expect(try await client.call(.get, "/sessions", token: "pst_nothing").status == 401)
        #expect(try await client.call(.get, "/admin/audit?before=null", token: ana.token).status == 403)
        let admin = try await client.account("root", isAdmin: true)
        #expect(try await client.call(.get, "/admin/audit?before=null", token: admin.token).status == 400)
        #expect(try await client.call(.get, "/admin/audit", token: admin.token).status == 200)
    }

    @Test func theSetupPageAsksAgainWhereAnAnswerIsNotTaken() async throws {
        let client = try await TestClient()
        let link = try await client.database.write { try SetupLink.create(now: .now(), in: $0) }
        func send(_ form: String) async throws -> TestClient.Answer {
            try await client.call(
                .post, "/setup/\(link.secret)", body: form,
                headers: [.contentType: "application/x-www-form-urlencoded"])
        }
        let short = try await send("username=ana&password=short")
        #expect(short.status == 400 && short.body.contains("<form") && short.body.contains("value=\"ana\""))
        #expect(short.body.contains("role=\"alert\"") && short.body.contains("10 to 256 characters"))
        let done = try await send("username=ana&password=a+longer+password")
        #expect(done.status == 200 && done.body.contains("postern login https://box"))
        #expect(try await send("username=ben&password=a+longer+password").body.contains("is no longer valid"))
    }

    @Test func theLimitOfARouteIsEnforcedByTheRouter() async throws {
        let client = try await TestClient()
        // Tokens come back while the calls are made: that many at least get through, and then one does not.
        var answered = 0
        while answered < 10_000, try await client.call(.get, "/codes/SYCLX-AAAAAA/validate").status == 200 {
            answered += 1
        }
        #expect(answered >= WebLimits().publicCallsPerMinute && answered < 10_000)
        // What has none goes on.
        #expect(try await client.call(.get, "/health").status == 200)
    }
}
