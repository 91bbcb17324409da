import Telemetry
import Testing

@Suite struct ChangeFeedTests {
    @Test func whoComesBackGetsWhatWasMissedAndIsToldWhenItIsTooLongAgo() {
        let feed = ChangeFeed()
        feed.changed(.machines, in: "a")
        feed.changed(.tunnels, in: "a")
        #expect(feed.follow(since: nil).missed == [])
        #expect(feed.follow(since: 1).missed?.map(\.topic) == [.tunnels])
        #expect(feed.follow(since: 2).missed == [])
        // Of a run of the server that had more changes.
        #expect(feed.follow(since: 3).missed == nil)
        for _ in 0..<300 { feed.changed(.sessions, in: "b") }
        #expect(feed.follow(since: 2).missed == nil && feed.follow(since: 300).missed?.count == 2)
    }

    @Test func aChangeIsForThoseOfItsOrganisationAndForAdministrators() {
        let change = ChangeFeed.Change(number: 1, topic: .machines, organisationId: "a")
        #expect(change.isFor([.machines, .tunnels], in: "a") && change.isFor([.server], in: "b"))
        #expect(!change.isFor([.machines], in: "b") && !change.isFor([.tunnels], in: "a"))
    }

    @Test func aPositionIsOfThisRun() {
        let (feed, other) = (ChangeFeed(), ChangeFeed())
        feed.changed(.machines, in: "a")
        #expect(
            feed.number(of: feed.position) == 1 && other.number(of: feed.position) == nil && feed.number(of: "x") == nil
        )
        #expect(feed.follow(since: nil).last == 1)
    }

    /// The server stops, and still takes requests.
    @Test func whoFollowsAfterTheEndIsAtTheEnd() async {
        let feed = ChangeFeed()
        feed.end()
        var next = feed.follow(since: nil).next.makeAsyncIterator()
        #expect(await next.next() == nil)
    }

    @Test func aReaderThatReadsNothingHoldsSixteenChangesAndEndsWithTheServer() async {
        let feed = ChangeFeed()
        let next = feed.follow(since: nil).next
        for _ in 0..<100 { feed.changed(.machines, in: "a") }
        feed.end()
        var numbers: [UInt64] = []
        for await change in next { numbers.append(change.number) }
        #expect(numbers == Array(85...100))
    }
}
