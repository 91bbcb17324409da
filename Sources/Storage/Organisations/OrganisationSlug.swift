import Database
import Model

/// An organisation's short name: lower-case letters, digits, `.`, `-` and `_`. It is unique.
enum OrganisationSlug {
    private static let lengths = 1...40
    /// The maximum number of equal names that are distinguished by numbers.
    private static let numbered = 9
    private static let rule =
        "1 to \(lengths.upperBound) lower-case letters, digits, '.', '-' and '_', a letter or digit first"

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isWhole(_ slug: String) -> Bool {
        guard let first = slug.utf8.first, lengths.contains(slug.utf8.count) else { return false }
        return slug.utf8.allSatisfy(isAllowed) && first != UInt8(ascii: ".") && first != UInt8(ascii: "-")
            && first != UInt8(ascii: "_")
    }

    /// - Throws: ``Refusal`` `.invalid`, `.nameTaken`; ``StorageError``.
    static func check(_ slug: String, in database: Transaction) throws {
        guard isWhole(slug) else { throw Refusal(.invalid, "slug: use \(rule).") }
        if try isTaken(slug, in: database) {
            throw Refusal(.nameTaken, "slug: another organisation uses \(slug); choose another.")
        }
    }

    /// A free short name that resembles a name.
    static func free(for name: String, in database: Transaction) throws -> String {
        let letters = name.lowercased().utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "-") }
        let words = String(decoding: letters, as: UTF8.self).split(separator: "-", omittingEmptySubsequences: true)
        let plain = String(words.joined(separator: "-").drop { ".-_".contains($0) }.prefix(30))
        let base = plain.isEmpty ? "organisation" : plain
        for number in 1...numbered {
            let slug = number == 1 ? base : "\(base)-\(number)"
            if try !isTaken(slug, in: database) { return slug }
        }
        // With many equal names, numbers would not help people to tell them apart.
        return "\(base.prefix(20))-\(RandomText.make(letters: 12).lowercased())"
    }

    private static func isTaken(_ slug: String, in database: Transaction) throws -> Bool {
        try database.first("SELECT 1 AS found FROM organisations WHERE slug = ?", slug) { try $0.integer("found") }
            != nil
    }
}
