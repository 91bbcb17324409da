import Limits
import Testing
import Wire

@testable import Tunnels

/// Every rule fails closed: what cannot be read is refused when the tunnel starts, and what is not allowed is not let in.
@Suite struct AccessRulesTests {
    private func rules(path: String? = nil, _ change: (inout AccessPolicy) -> Void = { _ in }) throws -> AccessRules {
        var policy = AccessPolicy()
        change(&policy)
        return try AccessRules(policy, path: path)
    }

    private func address(_ text: String) throws -> ClientAddress { try #require(ClientAddress(text)) }

    @Test func networksLetInAndKeepOut() throws {
        let rules = try rules {
            $0.allow = ["203.0.113.0/24", "2001:db8::/32"]
            $0.deny = ["203.0.113.7"]
        }
        for inside in ["203.0.113.8", "::ffff:203.0.113.8", "2001:db8:1::1"] {
            #expect(rules.admits(try address(inside)), "\(inside)")
        }
        for outside in ["203.0.113.7", "203.0.114.1", "2001:db9::1"] {
            #expect(!rules.admits(try address(outside)), "\(outside)")
        }
        let six = try address("2001:db8::1"), four = try address("203.0.113.8")
        #expect(try self.rules { $0.deny = ["0.0.0.0/0"] }.admits(six))
        // Nobody is on an empty list.
        #expect(try !self.rules { $0.allow = [] }.admits(four))
    }

    @Test(arguments: [
        "", "x", "203.0.113.0/33", "203.0.113.0/", "203.0.113.0/a", "203.0.113/24", "::/129", "1.2.3.4/-1",
        "1.2.3.4/8/8",
    ])
    func whatIsNoNetworkIsRefused(text: String) {
        #expect(throws: AccessRules.Problem.self) { try rules { $0.allow = [text] } }
        #expect(throws: AccessRules.Problem.self) { try rules { $0.deny = [text] } }
    }

    @Test func whatIsSaidOfALongEntryIsShort() {
        do {
            _ = try rules { $0.allow = [String(repeating: "x", count: 60_000)] }
            Issue.record("it was taken")
        } catch { #expect(((error as? AccessRules.Problem)?.message.utf8.count ?? .max) < 256) }
    }

    @Test func aPasswordIsAskedForAndCompared() throws {
        let rules = try rules { $0.basicAuth = ["ana:correct-horse", "ben:other-horse"] }
        #expect(rules.wantsPassword)
        #expect(rules.accepts("Basic YW5hOmNvcnJlY3QtaG9yc2U=") && rules.accepts("basic YmVuOm90aGVyLWhvcnNl"))
        for wrong in [
            nil, "", "Basic", "Basic YW5h", "Bearer YW5hOmNvcnJlY3QtaG9yc2U=", "Basic ???",
            "Basic YW5hOmNvcnJlY3QtaG9yc2Ux",
        ] {
            #expect(!rules.accepts(wrong))
        }
        for pair in ["", "ana", ":password", "ana:short"] {
            #expect(throws: AccessRules.Problem.self) { try self.rules { $0.basicAuth = [pair] } }
        }
        #expect(throws: AccessRules.Problem.self) { try self.rules { $0.basicAuth = [] } }
    }

    @Test func onlyThePathAndWhatIsBelowItIsCovered() throws {
        let rules = try rules(path: "/api/")
        for inside in ["/api", "/api/", "/api/x?y=/../", "/api?x", "/api/..x"] {
            #expect(rules.covers(inside), "\(inside)")
        }
        for outside in [
            "/", "/apix", "/ap", "/API", "/api/../x", "/api/..", "/api/%2e%2e/x", "/api/%2E%2E%2Fx", "/api/.%2e/x",
            "/api\\..\\x",
            "/api/./../x", "/api/..;/x", "/api/%2e%2e;a=b/x", "/api/..?\u{301}", "*",
        ] { #expect(!rules.covers(outside), "\(outside)") }
        #expect(throws: AccessRules.Problem.self) { try self.rules(path: "api") }
        #expect(try self.rules(path: "/").covers("/anything"))
    }

    @Test func namesBelowTheDomainAreFound() {
        var configuration = TunnelConfiguration(software: "test")
        configuration.domain = "t.example"
        #expect(configuration.name(in: "demo.t.example") == "demo")
        for other in ["t.example", ".t.example", "a.b.t.example", "demo.t.example.org", "demot.example", "demo"] {
            #expect(configuration.name(in: other) == nil, "\(other)")
        }
    }
}
