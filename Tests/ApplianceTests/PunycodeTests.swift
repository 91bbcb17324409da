import Testing

@testable import Appliance

@Suite struct PunycodeTests {
    /// The last three are samples of RFC 3492, section 7.1.
    @Test(arguments: [
        ("bücher.example", "xn--bcher-kva.example"), ("München.DE", "xn--mnchen-3ya.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"), ("box.example", "box.example"),
        ("ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn"),
        ("Pročprostěnemluvíčesky", "xn--proprostnemluvesky-uyb24dma41a"), ("他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"),
    ])
    func hostsAreWrittenAsDNSHasThem(name: String, ascii: String) { #expect(Punycode.host(name) == ascii) }

    @Test func aNameBeyondASCIIIsRefusedWithTheFormToWrite() {
        let names = Setting.named("tls-names")
        #expect(
            names?.problem(with: "box.example,bücher.example")
                == "must have names in their ASCII form, xn--bcher-kva.example"
        )
        #expect(names?.problem(with: "box.example,xn--bcher-kva.example") == nil)
        #expect(
            Setting.named("tunnel-domain")?.problem(with: "t.bücher.example")
                == "must be in its ASCII form, t.xn--bcher-kva.example")
    }
}
