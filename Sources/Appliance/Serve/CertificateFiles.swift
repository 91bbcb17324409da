import Database
import Files
import Glibc
import Model
import TransportSecurity

/// The pairs of files in `tls-certificate` and `tls-key`, in the same order.
struct CertificateFiles {
    /// The maximum size of a file, in bytes. Certificate files are a few KiB.
    private static let limit = 1 << 20

    private let certificates: [String]
    private let keys: [String]

    init(_ configuration: Configuration) {
        self.init(certificates: configuration[Settings.tlsCertificate], keys: configuration[Settings.tlsKey])
    }

    /// - Parameter keys: one for each certificate, in the same order.
    init(certificates: [String], keys: [String]) {
        self.certificates = certificates
        self.keys = keys
    }

    /// When the files last changed, according to the file system.
    var stamp: [Int] {
        (certificates + keys).flatMap { path -> [Int] in
            var found = stat()
            guard stat(path, &found) == 0 else { return [0] }
            return [found.st_mtim.tv_sec, found.st_mtim.tv_nsec, Int(found.st_ino), Int(found.st_size)]
        }
    }

    /// All pairs, each checked to belong together.
    /// - Throws: ``CommandFailure`` that names the file.
    func read() throws -> [CertificatePair] {
        // Also after a reload with another mode: the change waits for a restart, and this mode stays in use.
        guard !certificates.isEmpty, certificates.count == keys.count else {
            throw CommandFailure("tls-certificate and tls-key must list the same number of files")
        }
        return try zip(certificates, keys).map { certificate, key in
            do {
                return try CertificatePair(certificatePEM: Self.read(certificate), keyPEM: Self.read(key))
            } catch let error as TLSError { throw CommandFailure("\(certificate) and \(key): \(error)") }
        }
    }

    /// A message about the first expired pair.
    func expired(_ pairs: [CertificatePair]) -> String? {
        zip(certificates, pairs).first { $1.leaf.notAfter < time(nil) }.map {
            "the certificate in \($0.0) has expired; replace it"
        }
    }

    /// The pairs to present. An expired pair does not replace a pair that is still valid for one of its names, or that
    /// was served in its place. If there is no such pair, an expired one is better than none.
    static func chosen(_ found: [CertificatePair], over served: [CertificatePair], now: Int) -> [CertificatePair] {
        found.enumerated().map { index, pair in
            guard pair.leaf.notAfter < now else { return pair }
            let good = served.filter { $0.leaf.notAfter >= now }
            if let kin = good.first(where: { !Set($0.leaf.names).isDisjoint(with: pair.leaf.names) }) { return kin }
            return served.count == found.count && served[index].leaf.notAfter >= now ? served[index] : pair
        }
    }

    private static func read(_ path: String) throws -> String {
        switch TextFile.read(path, limit: limit) {
        case .success(let text): return text
        case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }
}
