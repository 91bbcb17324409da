import Files
import FoundationEssentials
import Glibc
public import TransportSecurity

/// The files that ACME stores on disk. Each file is either complete or missing, and only we can read it.
///
/// `account.key`, `account.json`, and `account.next.key` during a key rollover. `order.json` and `order.key` while an
/// order is in progress. `certificate.pem` with its key in one file, so that the two always match. `status.json`.
/// `renew.request` and `rollover.request`, which other processes write for the server.
public struct ACMEFiles: Sendable {
    private struct Account: Codable { let directory, url: String }
    private struct Order: Codable { let directory, url: String; let names: [String] }

    /// The maximum size of a file that is read, in bytes. Typical files are a few KiB.
    private static let limit = 1 << 20

    public let directory: String
    private let accountDirectory: String

    /// - Throws: ``TLSError`` if the directory cannot be created.
    /// - Parameter accountDirectory: the directory of the account's files. Nil for the same directory.
    public init(directory: String, accountDirectory: String? = nil) throws(TLSError) {
        self.directory = directory
        self.accountDirectory = accountDirectory ?? directory
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw TLSError(.failed, "cannot create \(directory): \(String(cString: strerror(errno)))")
        }
    }

    // MARK: Account

    func accountKey() throws -> ACMEAccountKey {
        if let pem = read("account.key") { return try ACMEAccountKey(pem: pem) }
        let key = ACMEAccountKey()
        try write(key.pem, "account.key")
        return key
    }

    func account(of directoryURL: String) -> String? {
        guard let account = json("account.json", Account.self), account.directory == directoryURL else { return nil }
        return account.url
    }

    func save(account: String, of directoryURL: String) throws {
        try write(Account(directory: directoryURL, url: account), "account.json")
    }

    func forgetAccount() {
        remove("account.json")
        forgetOrder()
    }

    var isRolloverAsked: Bool { read("rollover.request") != nil }

    /// Requests a new account key at the next attempt.
    public func askForRollover() throws { try write("", "rollover.request") }

    func nextAccountKey() throws -> ACMEAccountKey {
        if let pem = read("account.next.key") { return try ACMEAccountKey(pem: pem) }
        let key = ACMEAccountKey()
        try write(key.pem, "account.next.key")
        return key
    }

    func adoptNextAccountKey() throws {
        guard rename(path("account.next.key"), path("account.key")) == 0 else {
            throw TLSError(.failed, "cannot rename \(path("account.next.key")): \(String(cString: strerror(errno)))")
        }
        remove("rollover.request")
    }

    // MARK: Order

    func order(names: [String], directoryURL: String) -> String? {
        guard let order = json("order.json", Order.self), order.names == names, order.directory == directoryURL,
            read("order.key") != nil
        else { return nil }
        return order.url
    }

    /// The key is written first: every order on disk has a key.
    func save(order: String, names: [String], directoryURL: String, key: PrivateKey) throws {
        try write(key.pem(), "order.key")
        try write(Order(directory: directoryURL, url: order, names: names), "order.json")
    }

    func orderKey() throws -> PrivateKey {
        guard let pem = read("order.key") else { throw TLSError(.failed, "the order's key is missing") }
        return try PrivateKey(pem: pem)
    }

    func forgetOrder() {
        remove("order.json")
        remove("order.key")
    }

    // MARK: Certificate

    /// The newest certificate with its key.
    public func certificate() -> CertificatePair? {
        guard let text = read("certificate.pem") else { return nil }
        return try? CertificatePair(storedCertificatePEM: text, keyPEM: text)
    }

    func save(certificate pair: CertificatePair) throws {
        try write(pair.key.pem() + pair.certificatePEM(), "certificate.pem")
        forgetOrder()
    }

    // MARK: Requests and status

    /// Asks the running server to renew now.
    public func askForRenewal() throws { try write("", "renew.request") }

    /// Whether a renewal was requested. Clears the request.
    public func takeRenewalRequest() -> Bool {
        let asked = read("renew.request") != nil
        if asked { remove("renew.request") }
        return asked
    }

    public func status() -> RenewalStatus? { json("status.json", RenewalStatus.self) }

    func save(_ status: RenewalStatus) throws { try write(status, "status.json") }

    // MARK: Files

    private func path(_ name: String) -> String {
        let isAccounts = name.hasPrefix("account.") || name == "rollover.request"
        return "\(isAccounts ? accountDirectory : directory)/\(name)"
    }

    private func remove(_ name: String) { unlink(path(name)) }

    func json<Value: Decodable>(_ name: String, _ type: Value.Type) -> Value? {
        // A file that can no longer be read is treated as missing: the work is done again.
        read(name).flatMap { try? JSONDecoder().decode(type, from: Data($0.utf8)) }
    }

    func write(_ value: some Encodable, _ name: String) throws {
        try write(String(decoding: JSONEncoder().encode(value), as: UTF8.self), name)
    }

    private func read(_ name: String) -> String? {
        (try? WholeFile.read(path(name), limit: Self.limit)).map { String(decoding: $0, as: UTF8.self) }
    }

    private func write(_ text: String, _ name: String) throws {
        do { try WholeFile.write(text.utf8, to: path(name)) } catch {
            throw TLSError(.failed, "cannot write \(path(name)): \(error.message)")
        }
    }
}
