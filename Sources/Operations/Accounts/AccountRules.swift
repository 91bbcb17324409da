import Model
import Storage

/// The rules for names, addresses and passwords. Checked once, at the edge.
public enum AccountRules {
    public static let usernameRule =
        "use letters, digits, '.', '-' and '_', at most 64, beginning with a letter or a digit"

    /// Whether no command would take the name for an option or a path.
    public static func isUsername(_ name: String) -> Bool {
        guard (1...64).contains(name.utf8.count), let first = name.utf8.first, isAlphanumeric(first) else {
            return false
        }
        return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2E || $0 == 0x2D || $0 == 0x5F }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }

    /// Normalises a typed name or address: without surrounding white space, with letters of normal width (RFC 8265, section 3.3.2).
    public static func login(_ text: String) -> String {
        let narrow = FullWidth.narrowed(text)
        let trimmed = narrow.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed()
        return narrow.contains("@") ? String(trimmed).lowercased() : String(trimmed)
    }

    /// - Throws: ``Refusal`` that names the rule.
    public static func username(_ name: String) throws -> String {
        let name = login(name)
        guard isUsername(name) else { throw Refusal.badRequest("username: \(usernameRule).") }
        return name
    }

    /// One `@` with text on both sides, and no characters that could form a mail header (RFC 5321, section 4.5.3.1: at most 254 octets).
    public static func isEmail(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[1].contains(".") && !parts[1].hasPrefix(".")
            && !parts[1].hasSuffix(".") && text.utf8.count <= 254
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !#"<>(),;:\"[]"#.utf8.contains($0) }
    }

    public static func email(_ text: String) throws -> String {
        guard isEmail(text) else { throw Refusal.badRequest("email: '\(text.prefix(64))' is not an e-mail address.") }
        return text.lowercased()
    }

    public static var passwordRule: String {
        let range = AccountSettings.passwordLength
        return "use \(range.lowerBound) to \(range.upperBound) characters, for example a few random words"
    }

    public static func isPassword(_ text: String) -> Bool {
        let range = AccountSettings.passwordLength
        return range.contains(text.unicodeScalars.count)
    }

    public static func password(_ text: String) throws -> String {
        guard isPassword(text) else { throw Refusal.badRequest("password: \(passwordRule).") }
        return text
    }
}
