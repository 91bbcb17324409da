import Testing

@testable import TransportSecurity

@Suite struct TicketKeysTests {
    private let keys = TicketKeys()
    private let hour = 3600

    @Test func aNewKeySealsEveryHour() {
        let first = keys.sealing(now: 0)
        #expect(keys.sealing(now: hour - 1).name == first.name)
        let second = keys.sealing(now: hour)
        #expect(
            second.name != first.name && second.cipher != first.cipher && second.authentication != first.authentication)
    }

    @Test func anOlderKeyOpensForTwoMoreHoursAndAsksForANewTicket() {
        let first = keys.sealing(now: 0)
        #expect(keys.opening(name: first.name, now: 10)?.isNewest == true)
        _ = keys.sealing(now: hour)
        #expect(keys.opening(name: first.name, now: hour)?.isNewest == false)
        _ = keys.sealing(now: 2 * hour)
        #expect(keys.opening(name: first.name, now: 3 * hour - 1) != nil)
        // Also where nobody has sealed meanwhile.
        #expect(keys.opening(name: first.name, now: 3 * hour) == nil)
    }

    @Test func aKeyThatNobodyMadeOpensNothing() {
        _ = keys.sealing(now: 0)
        #expect(keys.opening(name: [UInt8](repeating: 0, count: 16), now: 0) == nil)
    }
}
