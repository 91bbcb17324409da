import Files
import FoundationEssentials
import Glibc
public import TransportSecurity

/// The ``OrderLedger`` of one account, kept in a file.
public actor ACMELedger {
    private static let fileName = "ledger.json"
    private let files: ACMEFiles
    private var ledger: OrderLedger

    /// - Parameter directory: the account's directory.
    /// - Throws: ``TLSError``.
    public init(directory: String) throws(TLSError) {
        files = try ACMEFiles(directory: directory)
        ledger = files.json(Self.fileName, OrderLedger.self) ?? OrderLedger()
    }

    func wait(for name: String, isRenewal: Bool) -> OrderLedger.Wait? {
        ledger.wait(for: name, isRenewal: isRenewal, now: time(nil))
    }

    /// - Throws: the error of the disk: an order that is not counted is not made.
    func order(_ names: [String], isRenewal: Bool) throws {
        for name in names { ledger.order(name, isRenewal: isRenewal, now: time(nil)) }
        try files.write(ledger, Self.fileName)
    }

    func fail(_ name: String) {
        ledger.fail(name, now: time(nil))
        // Counted in memory at least.
        try? files.write(ledger, Self.fileName)
    }
}
