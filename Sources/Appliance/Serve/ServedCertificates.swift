import Database
import Files
import Glibc
import Model
import NIOCore
import TransportSecurity
import Wire

/// The certificates that the running server presents, stored on disk for the owner's commands. They may differ from the configured files.
struct ServedCertificates: Codable, Equatable {
    private static let fileName = "served-certificates.json"
    /// The maximum size in bytes. A certificate needs a few hundred bytes here, so this is enough for a hundred of them.
    private static let limit = 64 << 10

    /// `self-signed`, `files` or `acme`.
    let mode: String
    /// The first is for clients that send no name.
    let certificates: [CertificateFacts]
    /// The reason why newer files are not used.
    let problem: String?

    /// - Returns: nil if no server has run yet.
    static func read(stateDirectory: String) -> ServedCertificates? {
        guard case .success(let text) = TextFile.read("\(stateDirectory)/\(fileName)", limit: limit) else { return nil }
        return try? JSONText.decode(ServedCertificates.self, from: ByteBuffer(string: text))
    }

    /// No certificate is presented from now on.
    static func forget(stateDirectory: String) { unlink("\(stateDirectory)/\(fileName)") }

    /// - Throws: ``CommandFailure``.
    func write(stateDirectory: String) throws {
        let path = "\(stateDirectory)/\(Self.fileName)"
        if case .failure(let error) = TextFile.write(String(buffer: JSONText.encode(self)), to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
    }
}
