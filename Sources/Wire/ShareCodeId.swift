/// The part of a share code that the relay knows: `SYCLX-` and six of A–Z, 0–9.
public struct ShareCodeId: Sendable, Hashable, CustomStringConvertible {
    /// The prefix of every code.
    public static let brand = "SYCLX"
    private static let length = 6
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

    /// The canonical spelling.
    public let description: String

    /// Accepts any case, with or without the hyphen.
    public init?(_ text: String) {
        let upper = text.uppercased()
        guard upper.hasPrefix(Self.brand) else { return nil }
        var rest = upper.dropFirst(Self.brand.count)
        if rest.first == "-" { rest = rest.dropFirst() }
        guard rest.count == Self.length, rest.allSatisfy({ Self.alphabet.contains($0) }) else { return nil }
        description = "\(Self.brand)-\(rest)"
    }

    /// Generates a code from the system's random numbers.
    public static func random() -> ShareCodeId {
        var generator = SystemRandomNumberGenerator()
        let letters = (0..<length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
        return ShareCodeId(canonical: "\(brand)-\(String(letters))")
    }

    private init(canonical: String) { description = canonical }
}
