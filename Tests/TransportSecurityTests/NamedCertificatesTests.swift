import Testing

@testable import TransportSecurity

/// Certificates of thousands of names: each is found, few are kept parsed.
@Suite struct NamedCertificatesTests {
    private func pair(_ name: String) throws -> CertificatePair {
        try Issuing.selfSigned(names: [name], now: 1_700_000_000)
    }

    @Test func manyNamesAreServedAndFewAreKeptParsed() throws {
        var named = NamedCertificates()
        let count = NamedCertificates.parsedLimit + 100
        for number in 0..<count { try named.set(pair("n\(number).example"), name: "n\(number).example") }
        for number in 0..<count { #expect(named.pair(for: "n\(number).example") != nil) }
        #expect(named.count == count && named.parsedCount <= NamedCertificates.parsedLimit)
        // What was used last is not parsed again.
        let first = named.pair(for: "n\(count - 1).example")
        #expect(first === named.pair(for: "n\(count - 1).example"))
        #expect(named.pair(for: "other.example") == nil && !named.has("other.example"))
        // A replaced certificate is shown from then on, and a removed one no more.
        try named.set(pair("n0.example"), name: "n0.example")
        let second = named.pair(for: "n0.example")
        #expect(second != nil && second !== first)
        named.forget("n0.example")
        #expect(named.pair(for: "n0.example") == nil && named.notAfter("n0.example") == nil)
    }

    @Test func whatDoesNotBelongTogetherIsRefused() throws {
        var named = NamedCertificates()
        let right = try pair("a.example")
        #expect(throws: TLSError.self) { try named.set(right, name: "b.example") }
        #expect(named.count == 0)
    }
}
