public import Client
import Files
import FoundationEssentials
import Glibc
public import Model
public import TransportSecurity

/// The stored state of a machine's enrolment: the server, and the machine's own key, which never leaves this directory.
public struct MachineState: Sendable {
    /// The directory that the package's service uses.
    public static let standardDirectory = "/var/lib/postern-agent"
    /// Maximum file size, in bytes. `machine.json` and the key are much smaller.
    private static let limit = 64 << 10

    public struct Enrolment: Codable, Sendable, Equatable {
        public var url: String
        /// The fingerprint of a self-signed server certificate; nil uses the system's trust store.
        public var fingerprint: String?
        /// SHA-256 of the public key that the server's end of the link carries.
        public var linkKey: String
        /// The server's next key, which it has announced.
        public var nextLinkKey: String?
        public var id: String
        public var name: String
        public var allows: [MachineAllowance]

        public init(
            url: String, fingerprint: String?, linkKey: String, id: String, name: String, allows: [MachineAllowance]
        ) {
            self.url = url
            self.fingerprint = fingerprint
            self.linkKey = linkKey
            self.id = id
            self.name = name
            self.allows = allows
        }

        /// - Throws: ``ClientError``.
        public func address() throws -> ServerAddress {
            try ServerAddress(url, pin: fingerprint.flatMap(Fingerprint.init))
        }
    }

    public let directory: String

    public init(directory: String) { self.directory = directory }

    private var enrolmentPath: String { "\(directory)/machine.json" }
    private var keyPath: String { "\(directory)/machine.pem" }
    private var nextKeyPath: String { "\(directory)/machine-next.pem" }
    /// The socket of the running agent.
    public var socketPath: String { "\(directory)/agent.sock" }

    public var isEnrolled: Bool { access(enrolmentPath, F_OK) == 0 }

    /// - Returns: nil if the machine is not enrolled.
    /// - Throws: ``ClientError``.
    public func enrolment() throws -> Enrolment? {
        let bytes: [UInt8]
        do { bytes = try WholeFile.read(enrolmentPath, limit: Self.limit) } catch {
            if error.number == ENOENT { return nil }
            throw failure("read", enrolmentPath, error)
        }
        guard let found = try? JSONDecoder().decode(Enrolment.self, from: Data(bytes)) else {
            throw ClientError("\(enrolmentPath) is damaged; run 'postern machine enroll' again")
        }
        return found
    }

    /// The machine's key. The certificate around it serves only as a container.
    /// - Returns: nil if there is no key yet.
    /// - Throws: ``ClientError``, `TLSError`.
    public func key() throws -> CertificatePair? { try key(keyPath) }

    /// A key that the server may know: it was announced, or an enrolment with it has started.
    public func nextKey() throws -> CertificatePair? { try key(nextKeyPath) }

    private func key(_ path: String) throws -> CertificatePair? {
        let text: String
        do { text = String(decoding: try WholeFile.read(path, limit: Self.limit), as: UTF8.self) } catch {
            if error.number == ENOENT { return nil }
            throw failure("read", path, error)
        }
        return try CertificatePair(certificatePEM: text, keyPEM: text)
    }

    public static func makeKey() throws -> CertificatePair {
        try Issuing.selfSigned(names: ["postern-machine"], now: time(nil))
    }

    /// Creates the directory and its missing parents.
    /// - Throws: ``ClientError``.
    public func makeDirectory() throws {
        guard socketPath.utf8.count < 108 else {
            throw ClientError(
                "\(directory) is too long for the agent's socket; choose a shorter --state", status: .usage)
        }
        var made = ""
        for part in directory.split(separator: "/") {
            made += made.isEmpty && !directory.hasPrefix("/") ? "\(part)" : "/\(part)"
            guard mkdir(made, 0o700) == 0 || errno == EEXIST else {
                throw ClientError(
                    "cannot create \(made): \(String(cString: strerror(errno)).lowercased()); run this with sudo, or choose another --state"
                )
            }
        }
        guard access(directory, W_OK) == 0 else {
            throw ClientError(
                "\(directory) cannot be written: \(String(cString: strerror(errno)).lowercased()); run this with sudo, or choose another --state"
            )
        }
    }

    /// Locks the state for the life of the agent. The kernel releases the lock, however the process ends.
    /// - Throws: ``ClientError`` if another agent has the lock.
    public func lock() throws {
        let path = "\(directory)/agent.lock"
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw ClientError("cannot open \(path): \(String(cString: strerror(errno)).lowercased())")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw ClientError(
                "an agent is already running on \(directory); 'postern machine status' shows its state",
                status: .refused)
        }
    }

    /// - Throws: ``ClientError``, `TLSError`.
    public func save(_ enrolment: Enrolment, key: CertificatePair) throws {
        try write(key, to: keyPath)
        try save(enrolment)
        _ = unlink(nextKeyPath)
    }

    /// - Throws: ``ClientError``.
    func save(_ enrolment: Enrolment) throws {
        guard let data = try? JSONEncoder().encode(enrolment) else {
            throw ClientError("the enrolment cannot be stored")
        }
        try write(data, to: enrolmentPath)
    }

    public func saveNext(_ key: CertificatePair) throws { try write(key, to: nextKeyPath) }

    /// Makes the next key the machine's key, because the server accepts it.
    /// - Throws: ``ClientError``.
    func takeNext() throws {
        guard rename(nextKeyPath, keyPath) == 0 else {
            throw ClientError("cannot rename \(nextKeyPath): \(String(cString: strerror(errno)).lowercased())")
        }
        // The server drops the old key at once. If a power failure undid the rename, the machine would have only that
        // key.
        do { try WholeFile.syncDirectory(of: keyPath) } catch { throw failure("sync", directory, error) }
    }

    private func write(_ key: CertificatePair, to path: String) throws {
        try write((try key.key.pem() + key.certificatePEM()).utf8, to: path)
    }

    private func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
        do {
            try WholeFile.write(bytes, to: path)
            try WholeFile.syncDirectory(of: path)
        } catch { throw failure("write", path, error) }
    }

    private func failure(_ what: String, _ path: String, _ error: WholeFile.Failure) -> ClientError {
        let hint = error.number == EACCES ? "; run this with sudo" : ""
        return ClientError("cannot \(what) \(path): \(error.message)\(hint)")
    }
}
