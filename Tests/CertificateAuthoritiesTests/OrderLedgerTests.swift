import Testing

@testable import CertificateAuthorities

/// Orders stop at 80 % of the authority's limits, and go on when the window has moved.
@Suite struct OrderLedgerTests {
    private let start = 1_000_000

    @Test func oneDomainDoesNotUseUpTheLimitOfAll() {
        var ledger = OrderLedger()
        for number in 0..<40 {
            let now = start + number * 60
            #expect(ledger.wait(for: "n\(number).example.org", isRenewal: false, now: now) == nil)
            ledger.order("n\(number).example.org", isRenewal: false, now: now)
        }
        let now = start + 40 * 60
        let wait = ledger.wait(for: "another.example.org", isRenewal: false, now: now)
        // The first of them leaves the window after a week.
        #expect(wait?.until == start + 7 * 86_400 && wait?.reason.contains("example.org") == true)
        #expect(ledger.wait(for: "app.example.net", isRenewal: false, now: now) == nil)
        // A renewal is not counted by the authority, and is never stopped by it.
        #expect(ledger.wait(for: "n0.example.org", isRenewal: true, now: now) == nil)
        #expect(ledger.wait(for: "another.example.org", isRenewal: false, now: start + 7 * 86_400) == nil)
    }

    @Test func theAccountsLimitStopsEverythingNew() {
        var ledger = OrderLedger()
        for number in 0..<240 { ledger.order("app.e\(number).net", isRenewal: false, now: start + number) }
        for _ in 0..<100 { ledger.order("renewed.example.org", isRenewal: true, now: start) }
        let wait = ledger.wait(for: "app.new.net", isRenewal: false, now: start + 300)
        #expect(wait?.until == start + 3 * 3600)
        #expect(ledger.wait(for: "app.new.net", isRenewal: false, now: start + 3 * 3600) == nil)
    }

    @Test func aNameThatFailsWaitsAlone() {
        var ledger = OrderLedger()
        for number in 0..<4 { ledger.fail("bad.example.org", now: start + number * 60) }
        for isRenewal in [false, true] {
            #expect(ledger.wait(for: "bad.example.org", isRenewal: isRenewal, now: start + 240)?.until == start + 3600)
        }
        #expect(ledger.wait(for: "good.example.org", isRenewal: false, now: start + 240) == nil)
        #expect(ledger.wait(for: "bad.example.org", isRenewal: false, now: start + 3600) == nil)
    }

    @Test func theLedgerIsBounded() {
        var ledger = OrderLedger()
        for number in 0..<20_000 { ledger.order("a.b", isRenewal: false, now: start + number * 600) }
        #expect(ledger.ordered.count <= 7 * 86_400 / 600)
        #expect(OrderLedger.registered("a.b.example.co.uk") == "example.co.uk")
        #expect(OrderLedger.registered("app.example.org") == "example.org" && OrderLedger.registered("x.de") == "x.de")
    }
}
