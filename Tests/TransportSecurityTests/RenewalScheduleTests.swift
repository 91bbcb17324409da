import Testing

@testable import TransportSecurity

/// The clock is a number here: days pass in a line.
@Suite struct RenewalScheduleTests {
    private let day = 86400
    private var lifetime: RenewalSchedule.Lifetime { .init(notBefore: 0, notAfter: 90 * 86400) }

    @Test func renewalIsDueWhenAThirdOfTheLifetimeIsLeft() {
        #expect(RenewalSchedule().next(for: lifetime) == 60 * day)
        #expect(RenewalSchedule().next(for: nil) == 0)
    }

    @Test func anAuthorityThatIsDownForADayIsAskedLessAndLess() {
        var schedule = RenewalSchedule()
        var now = 60 * day
        var attempts: [Int] = []
        // The authority comes back after a day.
        while now < 61 * day {
            attempts.append(now - 60 * day)
            schedule.failed(now: now, retryAfter: nil)
            now = schedule.next(for: lifetime)
        }
        #expect(attempts == [0, 60, 660, 6660])
        // And then once a day, for as long as it takes; the certificate is good for four weeks more.
        #expect(now == 60 * day + 6660 + day)
        schedule.failed(now: now, retryAfter: nil)
        #expect(schedule.next(for: lifetime) == now + day)
        schedule.succeeded()
        #expect(schedule.next(for: .init(notBefore: now, notAfter: now + 90 * day)) == now + 60 * day)
    }

    @Test func anAuthorityMayAskForMorePatienceAndNotForLess() {
        var schedule = RenewalSchedule()
        schedule.failed(now: 1000, retryAfter: 7200)
        #expect(schedule.earliestAttempt == 8200)
        schedule.failed(now: 1000, retryAfter: 5)
        #expect(schedule.earliestAttempt == 1600)
        schedule.failed(now: 1000, retryAfter: .max)
        #expect(schedule.earliestAttempt == 1000 + 7 * day)
    }

    @Test func failuresOutliveARestart() {
        let schedule = RenewalSchedule(failures: 3, earliestAttempt: 5000)
        #expect(schedule.next(for: nil) == 5000)
        var next = schedule
        next.failed(now: 5000, retryAfter: nil)
        #expect(next.earliestAttempt == 5000 + day)
    }

    @Test func theAuthoritysWindowWinsOverTheThird() {
        var schedule = RenewalSchedule()
        schedule.suggest(start: 10 * day, end: 12 * day, random: 0.5)
        #expect(schedule.next(for: lifetime) == 11 * day)
        schedule.suggest(start: 12, end: 10, random: 0.5)
        #expect(schedule.suggested == 11 * day)
        schedule.requestNow()
        #expect(schedule.next(for: lifetime) == 0)
    }

    @Test func warningsComeAtAQuarterAndAlarmsAtATenth() {
        func urgency(_ daysLeft: Int) -> RenewalSchedule.Urgency {
            RenewalSchedule.urgency(of: lifetime, now: (90 - daysLeft) * day)
        }
        #expect([30, 23].map(urgency) == [.good, .good])
        #expect([22, 10].map(urgency) == [.warning, .warning])
        #expect([9, 0, -1].map(urgency) == [.alarm, .alarm, .alarm])
    }
}

@Suite struct ClientHelloTests {
    private func bytes(_ name: String) -> [UInt8] {
        let text = Array(name.utf8)
        let length = [UInt8(text.count >> 8), UInt8(text.count & 0xFF)]
        let list = [0] + length + text
        return [UInt8(list.count >> 8), UInt8(list.count & 0xFF)] + list
    }

    @Test func namesAreReadAndNonsenseIsNone() {
        #expect(ClientHello.serverName(in: bytes("Box.Example")) == "box.example")
        #expect(ClientHello.serverName(in: []) == nil)
        #expect(ClientHello.serverName(in: bytes("")) == nil)
        #expect(ClientHello.serverName(in: bytes("a b")) == nil)
        #expect(ClientHello.serverName(in: bytes(String(repeating: "a", count: 256))) == nil)
        #expect(ClientHello.serverName(in: Array(bytes("box.example").dropLast())) == nil)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let random = (0..<Int.random(in: 0...40)).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            _ = ClientHello.serverName(in: random)
        }
    }
}
