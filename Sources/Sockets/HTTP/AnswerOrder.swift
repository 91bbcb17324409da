/// Tracks the unanswered requests of one connection. Decides when a 400 may be sent: after the answers to earlier requests, and never in
/// addition to an answer to the same request (RFC 9112, sections 9.3.2 and 9.6). ``RequestGuardHandler`` carries out what it says, and
/// passes one request at a time.
struct AnswerOrder {
    /// What becomes of a request, or of a part of one.
    enum Incoming: Equatable {
        case pass
        /// Discard the part. The application never sees it.
        case ignore
        /// Nobody hears it, and its refusal goes out behind answers that are still owed.
        case ignoreAndRefuseLater
        /// Nobody hears it; its refusal goes out now and the connection ends.
        case refuse
    }

    /// What becomes of an answer, or of a part of one.
    enum Outgoing: Equatable {
        case pass
        /// It is the last of this connection.
        case passAndClose
        /// The next one's refusal goes out behind it, and the connection ends.
        case passAndRefuse
        /// Discard: the connection is over, or no answer is owed.
        case drop
        /// The peer asked for the head alone.
        case skip
    }

    /// How the connection ends, as far as that is known.
    private enum Ending: Equatable {
        case none
        /// With the answer to the last request that was passed: it asked for that, or nothing behind it can be read.
        case withLastAnswer
        /// With a refusal, behind so many answers.
        case withRefusal(after: Int)
        /// Nothing more is written.
        case over
    }

    /// Requests passed on and not fully answered, oldest first; true if the answer has no body.
    private var requests: [Bool] = []
    private var owed: Int { requests.count }
    /// The last request that was passed is still arriving, answered or not.
    private(set) var isArriving = false
    /// The answer that goes out now has begun.
    private var isAnswering = false
    private var ending = Ending.none

    /// Every request that has begun is whole and answered: the next one may begin.
    var isIdle: Bool { requests.isEmpty && !isArriving }

    /// What is answered now is the connection's last answer.
    var answersLast: Bool { ending == .withLastAnswer && owed == 1 }

    /// - Parameters:
    ///   - isUnambiguous: every server reads it alike.
    ///   - isLast: its sender wants the connection to end with its answer.
    ///   - wantsHeadAlone: the answer has no body (RFC 9110, section 9.3.2).
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

    /// What comes now cannot be read as a request, and nothing behind it can.
    mutating func broken() -> Incoming {
        switch ending {
        case .over, .withRefusal: return .ignore
        // Bytes behind a last request mean nothing (RFC 9112, section 9.6).
        case .withLastAnswer where !isArriving: return .ignore
        case .none, .withLastAnswer: break
        }
        guard isArriving else { return refuse(behind: owed) }
        isArriving = false
        if owed == 0 {
            // It was answered before it was whole.
            ending = .over
            return .ignore
        }
        if owed == 1 && isAnswering {
            // Too late for another answer: this one ends, and the connection with it.
            ending = .withLastAnswer
            return .ignore
        }
        // The refusal is its answer.
        return refuse(behind: owed - 1)
    }

    private mutating func refuse(behind answers: Int) -> Incoming {
        ending = answers > 0 ? .withRefusal(after: answers) : .over
        return answers > 0 ? .ignoreAndRefuseLater : .refuse
    }

    /// - Parameter isInterim: 1xx, which is followed by the answer itself.
    mutating func answerHead(isInterim: Bool) -> Outgoing {
        if ending == .over || owed == 0 { return .drop }
        if !isInterim { isAnswering = true }
        return .pass
    }

    /// The answer that goes out now says that the connection ends with it.
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
