import Testing

@testable import TransportSecurity

@Suite struct CertificateTests {
    @Test func aSelfSignedCertificateCarriesItsNamesAndBelongsToItsKey() throws {
        let pair = try Issuing.selfSigned(names: ["box.example", "192.0.2.7", "::1"], now: 1_700_000_000)
        #expect(pair.leaf.names == ["box.example", "192.0.2.7", "::1"])
        #expect(pair.leaf.matches(name: "BOX.example"))
        #expect(pair.leaf.matches(name: "192.0.2.7"))
        #expect(!pair.leaf.matches(name: "other.example"))
        #expect(pair.leaf.notBefore == 1_700_000_000 - 3600)
        #expect(pair.leaf.notAfter == 1_700_000_000 + 3650 * 86400)
        let read = try CertificatePair(certificatePEM: pair.certificatePEM(), keyPEM: pair.key.pem())
        #expect(read.leaf.fingerprint == pair.leaf.fingerprint)
    }

    @Test func aCertificateWithAnotherKeyIsRefused() throws {
        let one = try Issuing.selfSigned(names: ["a.example"], now: 1_700_000_000)
        let other = try Issuing.selfSigned(names: ["a.example"], now: 1_700_000_000)
        #expect(throws: TLSError.self) {
            try CertificatePair(certificatePEM: one.certificatePEM(), keyPEM: other.key.pem())
        }
    }

    @Test func fingerprintsAreReadAsPeopleWriteThem() throws {
        let digits = String(repeating: "0f", count: 32)
        let colons = Array(repeating: "0F", count: 32).joined(separator: ":")
        #expect(Fingerprint(digits)?.description == "sha256:\(digits)")
        #expect(Fingerprint("sha256:\(digits)") == Fingerprint(colons))
        #expect(Fingerprint(String(digits.dropLast())) == nil)
        #expect(Fingerprint("g" + digits.dropFirst()) == nil)
    }
}
