import Database
import Files
import Glibc
import Model
import NIOCore
import TransportSecurity
import Wire

/// What the running server shows, kept on the disk for the owner's verbs: the files that it was told to take may be others.
struct ServedCertificates: Codable, Equatable {
    private static let fileName = "served-certificates.json"
    /// A certificate is a few hundred bytes here; this is a hundred of them, in bytes.
    private static let limit = 64 << 10

    /// `self-signed`, `files` or `acme`.
    let mode: String
    /// The first is for clients that ask for no name.
    let certificates: [CertificateFacts]
    /// Why newer files are not used.
    let problem: String?

    /// - Returns: nil where no server has run yet.
    static func read(stateDirectory: String) -> ServedCertificates? {
        guard case .success(let text) = TextFile.read("\(stateDirectory)/\(fileName)", limit: limit) else { return nil }
        return try? JSONText.decode(ServedCertificates.self, from: ByteBuffer(string: text))
    }

    /// Nothing is shown from now on.
    static func forget(stateDirectory: String) { unlink("\(stateDirectory)/\(fileName)") }

    /// - Throws: ``CommandFailure``.
    func write(stateDirectory: String) throws {
        let path = "\(stateDirectory)/\(Self.fileName)"
        if case .failure(let error) = TextFile.write(String(buffer: JSONText.encode(self)), to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
    }
}
