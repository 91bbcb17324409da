#if !hasFeature(Embedded)
import Synchronization
#endif

/// A sequence of combining scalars, stored as a small number. Cells therefore contain no references, and copying them
/// needs no reference counting (measured: it was a third of the time to process a command's output).
struct CombiningMarks: Sendable, Equatable {
    static let none = CombiningMarks(index: 0)
    /// Maximum number of scalars on one cell; more are dropped.
    private static let scalarLimit = 16

    private struct Table {
        var texts = [""]
        var indexes: [String: UInt16] = ["": 0]
    }

    /// All sequences that occurred in this process. Every language has only a few. When all numbers are used, new
    /// sequences are dropped.
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

    var text: String { index == 0 ? "" : Self.withTable { $0.texts[Int(index)] } }

    func adding(_ scalar: Unicode.Scalar) -> CombiningMarks {
        Self.withTable { table in
            let before = table.texts[Int(index)]
            guard before.unicodeScalars.count < Self.scalarLimit else { return self }
            let after = before + String(Character(scalar))
            if let known = table.indexes[after] { return CombiningMarks(index: known) }
            guard table.texts.count < Int(UInt16.max) else { return self }
            let index = UInt16(table.texts.count)
            table.texts.append(after)
            table.indexes[after] = index
            return CombiningMarks(index: index)
        }
    }
}
