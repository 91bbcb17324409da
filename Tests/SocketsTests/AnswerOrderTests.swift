import NIOHTTP1
import Testing

@testable import Sockets

@Suite struct AnswerOrderTests {
    private var order = AnswerOrder()

    private mutating func request(isLast: Bool = false) {
        #expect(order.head(isUnambiguous: true, isLast: isLast) == .pass)
        #expect(order.end() == .pass)
    }

    private mutating func answer(_ end: AnswerOrder.Outgoing) {
        #expect(order.answerHead(isInterim: false) == .pass)
        #expect(order.answerBody() == .pass)
        #expect(order.answerEnd() == end)
    }

    @Test mutating func requestsAreAnsweredOneBehindTheOther() {
        for _ in 0..<3 {
            request()
            request()
            answer(.pass)
            answer(.pass)
        }
    }

    @Test mutating func whatCannotBeReadIsRefusedBehindTheAnswersThatAreOwed() {
        request()
        request()
        #expect(order.broken() == .ignoreAndRefuseLater)
        #expect(order.head(isUnambiguous: true, isLast: false) == .ignore)
        answer(.pass)
        answer(.passAndRefuse)
        #expect(order.answerHead(isInterim: false) == .drop)
    }

    @Test mutating func whatCannotBeReadIsRefusedAtOnceWhereNothingIsOwed() {
        request()
        answer(.pass)
        #expect(order.head(isUnambiguous: false, isLast: false) == .refuse)
        #expect(order.broken() == .ignore)
    }

    @Test mutating func aBrokenBodysRequestIsRefusedAndNotAnsweredBesides() {
        #expect(order.head(isUnambiguous: true, isLast: false) == .pass)
        #expect(order.body() == .pass)
        #expect(order.broken() == .refuse)
        #expect(order.body() == .ignore)
        #expect(order.answerHead(isInterim: false) == .drop)
        #expect(order.answerBody() == .drop)
        #expect(order.answerEnd() == .drop)
    }

    @Test mutating func aBrokenBodyBehindAnotherRequestIsRefusedBehindItsAnswer() {
        request()
        #expect(order.head(isUnambiguous: true, isLast: false) == .pass)
        #expect(order.broken() == .ignoreAndRefuseLater)
        answer(.passAndRefuse)
        #expect(order.answerEnd() == .drop)
    }

    @Test mutating func anAnswerThatHasBegunIsTheOnlyOne() {
        #expect(order.head(isUnambiguous: true, isLast: false) == .pass)
        #expect(order.answerHead(isInterim: false) == .pass)
        #expect(order.broken() == .ignore)
        #expect(order.answerEnd() == .passAndClose)
        #expect(order.head(isUnambiguous: true, isLast: false) == .ignore)
    }

    @Test mutating func bytesBehindALastRequestMeanNothing() {
        request(isLast: true)
        #expect(order.answersLast)
        #expect(order.broken() == .ignore)
        #expect(order.head(isUnambiguous: true, isLast: false) == .ignore)
        answer(.passAndClose)
        #expect(order.broken() == .ignore)
    }

    @Test mutating func aLastRequestsOwnBodyIsStillHeard() {
        #expect(order.head(isUnambiguous: true, isLast: true) == .pass)
        #expect(order.body() == .pass)
        #expect(order.broken() == .refuse)
    }

    @Test mutating func whatWasAnsweredBeforeItWasWholeIsNotAnsweredAgain() {
        #expect(order.head(isUnambiguous: true, isLast: false) == .pass)
        answer(.pass)
        #expect(order.broken() == .ignore)
        #expect(order.head(isUnambiguous: true, isLast: false) == .ignore)
    }

    @Test mutating func whoAskedForTheHeadAloneGetsNoBody() {
        #expect(order.head(isUnambiguous: true, isLast: false, wantsHeadAlone: true) == .pass)
        #expect(order.end() == .pass)
        request()
        #expect(order.answerHead(isInterim: false) == .pass)
        #expect(order.answerBody() == .skip)
        #expect(order.answerEnd() == .pass)
        answer(.pass)
    }

    @Test func nothingIsReadBehindARequestForAnotherProtocol() {
        func isLast(_ method: HTTPMethod, _ headers: HTTPHeaders) -> Bool {
            RequestGuardHandler.isLast(HTTPRequestHead(version: .http1_1, method: method, uri: "/", headers: headers))
        }
        #expect(!isLast(.GET, ["Host": "a"]) && isLast(.GET, ["Host": "a", "Connection": "close"]))
        #expect(isLast(.GET, ["Host": "a", "Connection": "keep-alive, Upgrade", "Upgrade": "x"]))
        #expect(!isLast(.GET, ["Host": "a", "Upgrade": "x"]) && isLast(.CONNECT, ["Host": "a"]))
    }

    @Test mutating func anInterimAnswerIsNotTheAnswer() {
        #expect(order.head(isUnambiguous: true, isLast: false) == .pass)
        #expect(order.answerHead(isInterim: true) == .pass)
        #expect(order.broken() == .refuse)
    }

    @Test func aRequestHasOneHostAndOneLength() {
        func isUnambiguous(_ version: HTTPVersion, _ headers: HTTPHeaders) -> Bool {
            RequestGuardHandler.isUnambiguous(
                HTTPRequestHead(version: version, method: .POST, uri: "/", headers: headers))
        }
        #expect(isUnambiguous(.http1_1, ["Host": "a", "Content-Length": "5"]))
        #expect(isUnambiguous(.http1_1, ["Host": "a", "Transfer-Encoding": "Chunked"]))
        #expect(isUnambiguous(.http1_0, ["Content-Length": "5"]))
        #expect(!isUnambiguous(.http1_1, ["Content-Length": "5"]))
        #expect(!isUnambiguous(.http1_1, ["Host": "a", "host": "b"]))
        #expect(!isUnambiguous(.http1_0, ["Transfer-Encoding": "chunked"]))
        #expect(!isUnambiguous(.http1_1, ["Host": "a", "Content-Length": "5", "content-length": "5"]))
        #expect(!isUnambiguous(.http1_1, ["Host": "a", "Content-Length": "5", "Transfer-Encoding": "chunked"]))
        #expect(!isUnambiguous(.http1_1, ["Host": "a", "Transfer-Encoding": "chunked, identity"]))
    }
}
