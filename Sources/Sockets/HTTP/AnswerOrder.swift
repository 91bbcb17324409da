/// Which requests of one connection are still to be answered, and when a refusal may be: behind the answers that others are owed,
/// and never beside one (RFC 9112, sections 9.3.2 and 9.6). Pure: ``RequestGuardHandler`` carries out what it says.
struct AnswerOrder {
    /// What becomes of a request, or of a part of one.
    enum Incoming: Equatable {
        case pass
        /// Nobody hears it.
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
        /// The peer has its answer already.
        case drop
        /// The peer asked for the head alone.
        case skip
    }

    /// Requests that were passed and whose answers are not over; each by whether its answer is a head alone.
    private var requests: [Bool] = []
    private var owed: Int { requests.count }
    /// The last request that was passed is still arriving.
    private(set) var isArriving = false
    /// The answer that goes out now has begun.
    private var isAnswering = false
    /// The last request that was passed asked for the connection's end, or nothing behind it can be read.
    private var isLast = false
    /// How many answers go out before the refusal.
    private var answersBeforeRefusal: Int?
    /// The connection's last word is said.
    private var isOver = false

    /// Every request that has begun is whole and answered: the next one may begin.
    var isIdle: Bool { requests.isEmpty && !isArriving }

    private var hearsNothing: Bool { isOver || isLast || answersBeforeRefusal != nil }
    /// What is answered now is the connection's last answer.
    var answersLast: Bool { isLast && owed == 1 && answersBeforeRefusal == nil }

    /// - Parameters:
    ///   - isCertain: its meaning is in no doubt.
    ///   - isLast: its sender wants the connection to end with its answer.
    ///   - wantsHeadAlone: the answer has no body (RFC 9110, section 9.3.2).
    mutating func head(isCertain: Bool, isLast: Bool, wantsHeadAlone: Bool = false) -> Incoming {
        if hearsNothing { return .ignore }
        guard isCertain else { return refuse(behind: owed) }
        requests.append(wantsHeadAlone)
        isArriving = true
        self.isLast = isLast
        return .pass
    }

    mutating func body() -> Incoming { isArriving && !isOver ? .pass : .ignore }

    mutating func end() -> Incoming {
        guard isArriving, !isOver else { return .ignore }
        isArriving = false
        return .pass
    }

    /// What comes now cannot be read as a request, and nothing behind it can.
    mutating func broken() -> Incoming {
        if isOver || answersBeforeRefusal != nil { return .ignore }
        guard isArriving else {
            // Bytes behind a last request mean nothing (RFC 9112, section 9.6).
            return isLast ? .ignore : refuse(behind: owed)
        }
        isArriving = false
        if owed == 0 {
            // It was answered before it was whole.
            isOver = true
            return .ignore
        }
        if owed == 1 && isAnswering {
            // Too late for another answer: this one ends, and the connection with it.
            isLast = true
            return .ignore
        }
        // The refusal is its answer.
        return refuse(behind: owed - 1)
    }

    private mutating func refuse(behind answers: Int) -> Incoming {
        if answers > 0 {
            answersBeforeRefusal = answers
            return .ignoreAndRefuseLater
        }
        isOver = true
        return .refuse
    }

    /// - Parameter isInterim: 1xx, which is followed by the answer itself.
    mutating func answerHead(isInterim: Bool) -> Outgoing {
        if isOver { return .drop }
        if !isInterim { isAnswering = true }
        return .pass
    }

    /// The answer that goes out now says that the connection ends with it.
    mutating func endsWithThisAnswer() {
        if owed == 1, answersBeforeRefusal == nil { isLast = true }
    }

    func answerBody() -> Outgoing { isOver ? .drop : requests.first == true ? .skip : .pass }

    mutating func answerEnd() -> Outgoing {
        if isOver || owed == 0 { return .drop }
        isAnswering = false
        requests.removeFirst()
        if let before = answersBeforeRefusal {
            answersBeforeRefusal = before - 1
            isOver = before == 1
            return isOver ? .passAndRefuse : .pass
        }
        isOver = isLast && owed == 0
        return isOver ? .passAndClose : .pass
    }
}
