import Testing

@testable import Limits

@Suite struct TrustedProxiesTests {
    private let proxies = TrustedProxies(["127.0.0.1", "10.0.0.1", "2001:db8::1"])

    @Test func aPeerThatIsNoProxyIsItself() {
        #expect(proxies.client("192.0.2.1", []).key == "192.0.2.1")
        #expect(proxies.client("192.0.2.1", ["198.51.100.1"]).key == "192.0.2.1")
        #expect(proxies.client("::ffff:192.0.2.1", []).key == "192.0.2.1")
        #expect(proxies.client("2001:db8:1:2:3::4", []).key == proxies.client("2001:db8:1:2:9::9", []).key)
        #expect(proxies.client(nil, []).key == "local")
    }

    @Test func behindAProxyTheLastThatIsNoneCounts() {
        #expect(proxies.client("127.0.0.1", ["192.0.2.1"]).key == "192.0.2.1")
        #expect(proxies.client("127.0.0.1", ["6.6.6.6, 192.0.2.1"]).key == "192.0.2.1")
        #expect(proxies.client("127.0.0.1", ["6.6.6.6", "192.0.2.1 , 10.0.0.1"]).key == "192.0.2.1")
        #expect(proxies.client("127.0.0.1", ["10.0.0.1"]).key == "127.0.0.1")
        #expect(proxies.client("127.0.0.1", []).key == "127.0.0.1")
    }

    @Test func aProxysNeighbourIsNoProxy() {
        #expect(proxies.client("2001:db8::1", ["192.0.2.1"]).key == "192.0.2.1")
        #expect(proxies.client("2001:db8::2", ["192.0.2.1"]).key != "192.0.2.1")
        #expect(proxies.client("::ffff:10.0.0.1", ["192.0.2.1"]).key == "192.0.2.1")
    }

    @Test(arguments: [
        "unknown", "", ",", "192.0.2.1:", "192.0.2.1:x", "192.0.2.1:99999", "[192.0.2.1", "for=192.0.2.1",
        "192.0.2.1, x",
    ])
    func whatIsNoAddressEndsTheSearch(text: String) {
        #expect(proxies.client("127.0.0.1", [text]).key == "127.0.0.1")
    }

    @Test(arguments: [
        ("192.0.2.1:80", "192.0.2.1"), ("[2001:db8:1:2::9]:4711", "2001:db8:1:2"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2"),
        ("2001:db8:1:2::9", "2001:db8:1:2"), ("192.0.2.1:1, 10.0.0.1:2", "192.0.2.1"),
    ])
    func anEntryMayHaveAPort(entry: String, key: String) {
        #expect(proxies.client("127.0.0.1", [entry]).key == key)
    }

    @Test func nobodyBehindAProxyIsAProgramOfThisMachine() {
        let none = TrustedProxies.none
        #expect(none.client("127.0.0.1", []).isLoopback && none.client("::1", []).isLoopback)
        #expect(none.client("::ffff:127.0.0.1", []).isLoopback)
        #expect(!none.client("127.0.0.1", ["192.0.2.1"]).isLoopback)
        #expect(!proxies.client("127.0.0.1", []).isLoopback)
        #expect(!proxies.client("127.0.0.1", ["127.0.0.2"]).isLoopback)
    }
}
