import Testing

@testable import Client
@testable import SessionHost

/// What a guest types arrives from its beginning on without a hole, or the guest learns what is missing.
@Suite struct GuestInputTests {
    @Test func onlyTheCreditIsSentBeforeTheHostConfirms() {
        var input = GuestInput()
        #expect(input.typed(Array(repeating: 1, count: GuestInput.credit + 10)) == 0)
        #expect(input.next()?.count == GuestInput.credit)
        #expect(input.next() == nil)
        #expect(input.taken(UInt64(GuestInput.credit)) == 0)
        #expect(input.next()?.count == 10)
        #expect(input.unconfirmedBytes == 10)
    }

    @Test func nothingIsSentAfterAReconnectBeforeTheHostSaysWhatItHas() {
        var input = GuestInput()
        #expect(input.typed([1, 2]) == 0)
        #expect(input.next() == [1, 2])
        input.interrupt()
        #expect(input.typed([3]) == 0)
        #expect(input.next() == nil)
        #expect(input.taken(2) == 0)
        #expect(input.next() == [3])
    }

    @Test func whatWaitedBehindAHoleIsDroppedAndCounted() {
        var input = GuestInput()
        #expect(input.typed([1, 2]) == 0)
        #expect(input.next() == [1, 2])
        input.interrupt()
        #expect(input.typed([3, 4, 5]) == 0)
        #expect(input.taken(1) == 4)
        #expect(input.next() == nil && input.unconfirmedBytes == 0)
        #expect(input.typed([6]) == 0)
        #expect(input.next() == [6])
        #expect(input.taken(2) == 0 && input.unconfirmedBytes == 0)
    }

    @Test func aHostThatConfirmsTooMuchConfirmsWhatWasSent() {
        var input = GuestInput()
        #expect(input.typed([1]) == 0)
        #expect(input.next() == [1])
        #expect(input.taken(.max) == 0 && input.unconfirmedBytes == 0)
        #expect(input.typed([2]) == 0)
        #expect(input.next() == [2] && input.unconfirmedBytes == 1)
    }

    @Test func aHostThatCountsTooMuchAfterAReconnectCountsWhatWasSent() {
        var input = GuestInput()
        #expect(input.typed([1]) == 0)
        #expect(input.next() == [1])
        input.interrupt()
        #expect(input.taken(.max) == 0)
        #expect(input.typed([2]) == 0)
        #expect(input.next() == [2] && input.unconfirmedBytes == 1)
    }

    @Test func whatThereIsNoRoomForIsCounted() {
        var input = GuestInput()
        input.interrupt()
        #expect(input.typed(Array(repeating: 1, count: GuestInput.waitingLimit)) == 0)
        #expect(input.typed([2, 3]) == 2)
        #expect(input.unconfirmedBytes == GuestInput.waitingLimit)
    }

    @Test func theEndOfAPairingCountsEverythingThatNobodyConfirms() {
        var input = GuestInput()
        #expect(input.typed([1, 2]) == 0)
        #expect(input.next() == [1, 2])
        input.interrupt()
        #expect(input.typed([3]) == 0)
        #expect(input.reset() == 3)
        #expect(input.typed([4]) == 0)
        #expect(input.next() == [4] && input.unconfirmedBytes == 1)
    }

    @Test func readingStopsWhileTooMuchWaits() {
        var input = GuestInput()
        input.interrupt()
        #expect(input.typed(Array(repeating: 1, count: GuestInput.waitingBytes)) == 0)
        #expect(input.changedPace() == false)
        #expect(input.changedPace() == nil)
        _ = input.taken(0)
        while input.next() != nil { _ = input.taken(.max) }
        #expect(input.changedPace() == true)
    }
}
