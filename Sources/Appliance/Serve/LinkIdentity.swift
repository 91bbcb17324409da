import Database
import Files
import Glibc
import Model
import TransportSecurity

/// The key by which machines identify this appliance. It is created once and does not change with the public certificates.
enum LinkIdentity {
    static let fileName = "link-identity.pem"
    /// The next identity: announced to machines, and used from its start date on.
    static let nextFileName = "link-identity-next.pem"
    /// The time from the announcement to the change, in seconds: a machine that connects once in this time stays enrolled.
    static let announcedSeconds = 90 * 86_400
    private static let limit = 64 << 10

    /// Reads the identity, or creates it on the first start.
    /// - Throws: `TLSError`, ``CommandFailure``.
    static func pair(stateDirectory: String) throws -> CertificatePair {
        let path = "\(stateDirectory)/\(fileName)"
        if let next = try next(stateDirectory: stateDirectory), changesAt(next) <= time(nil) {
            guard rename("\(stateDirectory)/\(nextFileName)", path) == 0 else {
                throw CommandFailure("cannot rename \(path): \(String(cString: strerror(errno)).lowercased())")
            }
        }
        return try read(path) ?? make(path)
    }

    /// The announced identity. Nil if there is none.
    /// - Throws: ``CommandFailure``.
    static func next(stateDirectory: String) throws -> CertificatePair? {
        try read("\(stateDirectory)/\(nextFileName)")
    }

    /// When it replaces the current one, in epoch seconds.
    static func changesAt(_ next: CertificatePair) -> Int { next.leaf.notBefore + announcedSeconds }

    /// Creates the next identity, which is announced to machines from the next start on.
    /// - Throws: ``CommandFailure``, `TLSError`.
    static func announce(stateDirectory: String) throws -> CertificatePair {
        if let next = try next(stateDirectory: stateDirectory) {
            throw CommandFailure(
                "\(next.leaf.keyFingerprint) is already announced; remove \(stateDirectory)/\(nextFileName) to keep the current key"
            )
        }
        return try make("\(stateDirectory)/\(nextFileName)")
    }

    private static func read(_ path: String) throws -> CertificatePair? {
        switch TextFile.read(path, limit: limit) {
        case .success(let text):
            do { return try CertificatePair(certificatePEM: text, keyPEM: text) } catch {
                throw CommandFailure(
                    "\(path) is damaged (\(error)); restore it from a backup, or remove it: every machine must be enrolled again then"
                )
            }
        case .failure(let error) where error.number == ENOENT: return nil
        case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }

    private static func make(_ path: String) throws -> CertificatePair {
        let pair = try Issuing.selfSigned(names: ["postern-link"], now: time(nil))
        if case .failure(let error) = TextFile.write(try pair.key.pem() + pair.certificatePEM(), to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
        return pair
    }
}
