import Testing

@testable import Outbound

@Suite struct WebAddressTests {
    @Test func addressesAreTakenApart() {
        #expect(WebAddress("https://ca.example/dir", scheme: "https")?.path == "/dir")
        #expect(WebAddress("https://ca.example", scheme: "https")?.path == "/")
        #expect(WebAddress("https://[::1]:14000/dir?x=1", scheme: "https")?.host == "::1")
        #expect(WebAddress("https://[::1]:14000/dir?x=1", scheme: "https")?.port == 14000)
        #expect(WebAddress("https://ca.example:14000/a", scheme: "https")?.authority == "ca.example:14000")
        for wrong in ["http://ca.example/", "https://", "https://:443/", "https://x:0/", "https://x:y/", ""] {
            #expect(WebAddress(wrong, scheme: "https") == nil, "\(wrong)")
        }
        #expect(WebAddress("http://ocsp.example", scheme: "http")?.port == 80)
    }
}
