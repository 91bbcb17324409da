#if !hasFeature(Embedded)
import Synchronization
#endif

/// A link that a program attached to its text (OSC 8), stored as a small number, so that cells contain no references.
///
/// See https://gist.github.com/egmontkob/eb114294efbcd5adb1944c9f3cb5feda.
public struct Hyperlink: Sendable, Equatable {
    static let none = Hyperlink(index: 0)
    /// Maximum length of parameters and address together, in bytes; browsers and terminals have similar limits.
    private static let textLimit = 2083
    /// Maximum number of different links in one process. Text with further links is shown without a link.
    private static let linkLimit = 4096

    private struct Table {
        var texts = [""]
        var indexes: [String: UInt16] = ["": 0]
    }

    #if hasFeature(Embedded)
    // The browser build has one thread, so a global variable is safe.
    private static var table = Table()

    private static func withTable<Result>(_ body: (inout Table) -> Result) -> Result { body(&table) }
    #else
    private static let table = Mutex(Table())

    private static func withTable<Result: Sendable>(_ body: (inout sending Table) -> Result) -> Result {
        table.withLock { body(&$0) }
    }
    #endif

    private let index: UInt16

    private init(index: UInt16) { self.index = index }

    /// - Parameter text: the text after `8;`: parameters, a semicolon and the address. Without an address it ends a
    ///   link.
    /// - Returns: none if the link ends, is too long, or is not printable ASCII.
    static func of(_ text: ArraySlice<UInt8>) -> Hyperlink {
        guard let separator = text.firstIndex(of: UInt8(ascii: ";")), separator + 1 < text.endIndex,
            text.count <= textLimit, text.allSatisfy({ (0x20...0x7E).contains($0) })
        else { return none }
        let text = String(decoding: text, as: UTF8.self)
        return withTable { table in
            if let known = table.indexes[text] { return Hyperlink(index: known) }
            guard table.texts.count < linkLimit else { return none }
            let index = UInt16(table.texts.count)
            table.texts.append(text)
            table.indexes[text] = index
            return Hyperlink(index: index)
        }
    }

    /// The parameters and the address.
    private var text: String { index == 0 ? "" : Self.withTable { $0.texts[Int(index)] } }

    /// The address; empty if there is no link.
    public var address: String {
        let text = self.text
        guard let separator = text.utf8.firstIndex(of: UInt8(ascii: ";")) else { return "" }
        return String(text[text.utf8.index(after: separator)...])
    }

    /// The sequence that starts this link, or ends the previous one.
    var sequence: String { self == .none ? "\u{1B}]8;;\u{1B}\\" : "\u{1B}]8;\(text)\u{1B}\\" }
}
