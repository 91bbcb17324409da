import Testing

@testable import Outbound

@Suite struct ProxyTests {
    @Test func theEnvironmentIsRead() throws {
        #expect(try Proxy.environment([:]) == nil)
        #expect(try Proxy.environment(["HTTPS_PROXY": ""]) == nil)
        #expect(try Proxy.environment(["HTTPS_PROXY": "http://proxy:3128"]) == Proxy(host: "proxy", port: 3128))
        #expect(
            try Proxy.environment(["https_proxy": "proxy:3128", "no_proxy": "a, .b"])
                == Proxy(host: "proxy", port: 3128, direct: "a,.b"))
        // A CGI request could set it.
        #expect(try Proxy.environment(["HTTP_PROXY": "http://evil:1"]) == nil)
        for wrong in ["https://proxy:1", "http://me:secret@proxy:1", "http://proxy:0"] {
            #expect(throws: ProxyProblem.self) { try Proxy.environment(["HTTPS_PROXY": wrong]) }
        }
    }

    @Test(arguments: [
        ("example.org", true), ("EXAMPLE.com", false), ("api.example.com", false), ("badexample.com", true),
        ("localhost", false), ("127.0.0.1", false), ("::1", false), ("10.0.0.1", false),
    ])
    func hostsThatAreAskedDirectly(host: String, applies: Bool) {
        #expect(Proxy(host: "p", port: 1, direct: "example.com,10.0.0.1").applies(to: host) == applies)
    }

    @Test func aStarMeansEverything() {
        #expect(!Proxy(host: "p", port: 1, direct: "*").applies(to: "example.org"))
    }
}
