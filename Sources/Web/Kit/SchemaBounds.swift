import Model
import Operations
import Storage

/// The values of a type that the API accepts. Nil means no limit.
struct SchemaBounds: Sendable {
    /// The length of text, in Unicode scalars.
    var length: ClosedRange<Int>?
    /// A regular expression (ECMA-262) for the whole text.
    var pattern: String?
    var numbers: ClosedRange<Int>?
}

extension Schema {
    static func text(_ length: ClosedRange<Int>, pattern: String? = nil) -> Schema {
        .bounded(.string, SchemaBounds(length: length, pattern: pattern))
    }

    static func integer(_ numbers: ClosedRange<Int>) -> Schema { .bounded(.integer, SchemaBounds(numbers: numbers)) }

    /// An account's name (``AccountRules/isUsername(_:)``).
    static let username = text(1...64, pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$")

    /// A name that people choose: on one line, and not only blanks (``NameRule``).
    static func name(_ length: ClosedRange<Int> = 1...64) -> Schema {
        // ``VisibleText/isControl(_:)``, and Unicode's White_Space.
        let controls = #"\u0000-\u001F\u007F-\u009F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069"#
        let blanks = #" \u00A0\u1680\u2000-\u200A\u202F\u205F\u3000"#
        return text(length, pattern: "^[^\(controls)]*[^\(controls)\(blanks)][^\(controls)]*$")
    }

    /// An e-mail address (``AccountRules/isEmail(_:)``).
    static let email: Schema = {
        let letters = #"!#-'*+\-/0-9=?A-Z^-~"#
        return text(5...254, pattern: "^[\(letters).]+@[\(letters)][\(letters).]*\\.[\(letters).]*[\(letters)]$")
    }()

    static let newPassword = text(AccountSettings.passwordLength)

    /// Permissions in the spelling of the API.
    static let permissions = Schema.list(.words(PermissionKey.allCases.map(\.rawValue)))

    static let plan = Schema.words(Plan.allCases.map(\.rawValue))
}
