import Database
import Files
import Glibc
import Model
import TransportSecurity

/// The key that machines know this appliance by. It is made once and stays, whatever becomes of the public certificates.
enum LinkIdentity {
    static let fileName = "link-identity.pem"
    private static let limit = 64 << 10

    /// Reads it, or makes it on the first start.
    /// - Throws: `TLSError`, ``CommandFailure``.
    static func pair(stateDirectory: String) throws -> CertificatePair {
        let path = "\(stateDirectory)/\(fileName)"
        switch TextFile.read(path, limit: limit) {
        case .success(let text):
            do { return try CertificatePair(certificatePEM: text, keyPEM: text) } catch {
                throw CommandFailure(
                    "\(path) is damaged (\(error)); restore it from a backup, or remove it: every machine must be enrolled again then"
                )
            }
        case .failure(let error) where error.number == ENOENT: return try make(path)
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
