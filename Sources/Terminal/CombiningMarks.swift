#if !hasFeature(Embedded)
import Synchronization
#endif

/// A run of combining scalars, as a small number: it keeps cells free of references, and copying them free of counting
/// (measured: a third of the time it took to follow a command's output).
struct CombiningMarks: Sendable, Equatable {
    static let none = CombiningMarks(index: 0)
    /// Scalars that may pile up on one cell; more are dropped.
    private static let scalarLimit = 16

    private struct Table {
        var texts = [""]
        var indexes: [String: UInt16] = ["": 0]
    }

    /// Runs that ever occurred in this process; there are few in any language. When all numbers are taken, new ones are dropped.
    #if hasFeature(Embedded)
    // In the browser: built for one thread, where a global variable is safe.
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
