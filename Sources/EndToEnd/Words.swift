import Model

/// The words of spoken invitations: common, concrete, easy to say and to spell, each at most once.
enum Words {
    /// At least 1,296 words, so that two give 1.6 million combinations. Order and content may change at any time: only
    /// the host picks from the list, and a guest's words are compared with the host's.
    static let list = WordList.words

    /// The word of the list that differs from `word` by one typing mistake (one letter more, less or different, or two
    /// swapped).
    /// - Returns: nil if the word is in the list, or if none or several are that close.
    static func closest(to word: String) -> String? {
        if list.contains(word) { return nil }
        let typed = Array(word.utf8)
        let near = list.filter { isOneMistake(typed, Array($0.utf8)) }
        return near.count == 1 ? near[0] : nil
    }

    private static func isOneMistake(_ typed: [UInt8], _ meant: [UInt8]) -> Bool {
        guard abs(typed.count - meant.count) <= 1 else { return false }
        let start = zip(typed, meant).prefix { $0 == $1 }.count
        let (typedRest, meantRest) = (typed[start...], meant[start...])
        switch typed.count - meant.count {
        case 1: return typedRest.dropFirst().elementsEqual(meantRest)
        case -1: return typedRest.elementsEqual(meantRest.dropFirst())
        default:
            let swapped =
                typedRest.count >= 2 && typedRest.prefix(2).reversed().elementsEqual(meantRest.prefix(2))
                && typedRest.dropFirst(2).elementsEqual(meantRest.dropFirst(2))
            return swapped || typedRest.dropFirst().elementsEqual(meantRest.dropFirst())
        }
    }
}
