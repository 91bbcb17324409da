import Testing

@testable import Web

@Suite struct CookieTests {
    @Test func oursIsFoundAmongWhateverANeighbourHasSet() {
        let bomb = (0..<150).map { "x\($0)=\(String(repeating: "y", count: 90))" }.joined(separator: "; ")
        #expect(bomb.utf8.count > 14_000)
        for header in ["\(bomb); __Host-postern=secret", "__Host-postern=secret; \(bomb)", "a=b;__Host-postern=secret"]
        {
            #expect(Cookies.value("__Host-postern", in: header) == "secret")
        }
    }

    @Test func namesAreTakenWhole() {
        #expect(
            Cookies.value("__Host-postern", in: "__Host-postern-visitor=v; x__Host-postern=w; __host-postern=z") == nil)
        #expect(Cookies.value("__Host-postern", in: "__Host-postern=a=b; __Host-postern=c") == "a=b")
        #expect(Cookies.value("__Host-postern", in: "") == nil)
    }
}
