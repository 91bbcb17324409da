/// Tracks the unanswered requests of one connection. Decides when a 400 may be sent: after the answers to earlier requests, and never in
/// addition to an answer to the same request (RFC 9112, sections 9.3.2 and 9.6). ``RequestGuardHandler`` carries out what it says, and
/// passes one request at a time.
struct AnswerOrder {
    /// What to do with a request or a part of one.
    enum Incoming: Equatable {
        case pass
        /// Discard the part. The application never sees it.
        case ignore
        /// Discard the part. The refusal is sent after the responses that are still owed.
        case ignoreAndRefuseLater
        /// Discard the part. The refusal is sent now and the connection ends.
        case refuse
    }

    /// What to do with a response or a part of one.
    enum Outgoing: Equatable {
        case pass
        /// Pass the part. It is the last response of this connection.
        case passAndClose
        /// Pass the part. The refusal of the next request follows, and the connection ends.
        case passAndRefuse
        /// Discard the part: the connection is over, or no response is owed.
        case drop
        /// Discard the part: the peer asked only for the head.
        case skip
    }

    /// How the connection will end, if that is known.
    private enum Ending: Equatable {
        case none
        /// After the response to the last passed request: the peer asked for it, or nothing after the request can be
        /// read.
        case withLastAnswer
        /// With a refusal, after this number of responses.
        case withRefusal(after: Int)
        /// Nothing more is written.
        case over
    }

    /// Requests that were passed and not fully answered, oldest first. True if the response has no body.
    private var requests: [Bool] = []
    private var owed: Int { requests.count }
    /// The last passed request is still arriving, answered or not.
    private(set) var isArriving = false
    /// The current response has begun.
    private var isAnswering = false
    private var ending = Ending.none

    /// Every request that has begun is complete and answered: the next one may begin.
    var isIdle: Bool { requests.isEmpty && !isArriving }

    /// Whether the current response is the last of the connection.
    var answersLast: Bool { ending == .withLastAnswer && owed == 1 }

    /// - Parameters:
    ///   - isUnambiguous: every server parses the request in the same way.
    ///   - isLast: the client wants the connection to end after the response.
    ///   - wantsHeadAlone: the response has no body (RFC 9110, section 9.3.2).
    mutating func head(isUnambiguous: Bool, isLast: Bool, wantsHeadAlone: Bool = false) -> Incoming {
        guard ending == .none else { return .ignore }
        guard isUnambiguous else { return refuse(behind: owed) }
        requests.append(wantsHeadAlone)
        isArriving = true
        if isLast { ending = .withLastAnswer }
        return .pass
    }

    mutating func body() -> Incoming { isArriving && ending != .over ? .pass : .ignore }

    mutating func end() -> Incoming {
        guard isArriving, ending != .over else { return .ignore }
        isArriving = false
        return .pass
    }

    /// The input cannot be parsed as a request, and neither can the bytes after it.
    mutating func broken() -> Incoming {
        switch ending {
        case .over, .withRefusal: return .ignore
        // Bytes after a last request have no meaning (RFC 9112, section 9.6).
        case .withLastAnswer where !isArriving: return .ignore
        case .none, .withLastAnswer: break
        }
        guard isArriving else { return refuse(behind: owed) }
        isArriving = false
        if owed == 0 {
            // The request was answered before it was complete.
            ending = .over
            return .ignore
        }
        if owed == 1 && isAnswering {
            // Another response is no longer possible: this response ends, and then the connection.
            ending = .withLastAnswer
            return .ignore
        }
        // The refusal is the response to this request.
        return refuse(behind: owed - 1)
    }

    private mutating func refuse(behind answers: Int) -> Incoming {
        ending = answers > 0 ? .withRefusal(after: answers) : .over
        return answers > 0 ? .ignoreAndRefuseLater : .refuse
    }

    /// - Parameter isInterim: 1xx. The final response follows.
    mutating func answerHead(isInterim: Bool) -> Outgoing {
        if ending == .over || owed == 0 { return .drop }
        if !isInterim { isAnswering = true }
        return .pass
    }

    /// The current response says that the connection ends after it.
    mutating func endsWithThisAnswer() {
        if owed == 1, ending == .none { ending = .withLastAnswer }
    }

    func answerBody() -> Outgoing { ending == .over || owed == 0 ? .drop : requests.first == true ? .skip : .pass }

    mutating func answerEnd() -> Outgoing {
        if ending == .over || owed == 0 { return .drop }
        isAnswering = false
        requests.removeFirst()
        switch ending {
        case .none, .over: return .pass
        case .withLastAnswer:
            guard owed == 0 else { return .pass }
            ending = .over
            return .passAndClose
        case .withRefusal(let answers):
            ending = answers == 1 ? .over : .withRefusal(after: answers - 1)
            return answers == 1 ? .passAndRefuse : .pass
        }
    }
}
