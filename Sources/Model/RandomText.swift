/// Random secrets of letters and digits, safe in shells and URLs.
public enum RandomText {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)

    /// - Parameter letters: the number of characters. There are 62 different ones; 43 characters contain 256 bits.
    public static func make(letters count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return String(
            decoding: (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] },
            as: UTF8.self)
    }

    /// Lower-case letters and digits that cannot be mistaken for each other: almost 5 bits each.
    public static func makeReadable(letters count: Int) -> String {
        let readable = Array("abcdefghjkmnpqrstuvwxyz23456789".utf8)
        var generator = SystemRandomNumberGenerator()
        return String(
            decoding: (0..<count).map { _ in readable[Int.random(in: 0..<readable.count, using: &generator)] },
            as: UTF8.self)
    }
}
