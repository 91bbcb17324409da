import Database
import Files
import Glibc
import Model
import TransportSecurity

/// The certificate that the server creates for itself, once. Clients pin it, so it must not change.
enum SelfSigned {
    private static let limit = 1 << 20

    static func path(_ configuration: Configuration) -> String { "\(configuration.stateDirectory)/self-signed.pem" }

    /// Reads the certificate, or creates it on the first start.
    /// - Throws: `TLSError`, ``CommandFailure``.
    static func pair(_ configuration: Configuration) throws -> CertificatePair {
        if let stored = try stored(configuration) { return stored }
        let path = path(configuration)
        let pair = try Issuing.selfSigned(names: names(configuration), now: time(nil))
        if case .failure(let error) = TextFile.write(try pair.key.pem() + pair.certificatePEM(), to: path) {
            throw CommandFailure("cannot write \(path): \(error.message)")
        }
        return pair
    }

    /// Reads the certificate. Nil if none was created yet.
    /// - Throws: ``CommandFailure``.
    static func stored(_ configuration: Configuration) throws -> CertificatePair? {
        let path = path(configuration)
        switch TextFile.read(path, limit: limit) {
        case .success(let text):
            do { return try CertificatePair(certificatePEM: text, keyPEM: text) } catch {
                throw CommandFailure(
                    "\(path) is damaged (\(error)); restore it from a backup, or remove it and give everybody the new fingerprint"
                )
            }
        case .failure(let error) where error.number == ENOENT: return nil
        case .failure(let error): throw CommandFailure("cannot read \(path): \(error.message)")
        }
    }

    /// Reports names in `tls-names` that the certificate does not contain, and what to do. Clients pin the certificate,
    /// so it is not created again automatically.
    static func missing(_ configuration: Configuration, in pair: Certificate) -> String? {
        let missing = configuration[Settings.tlsNames].filter { name in
            !pair.names.contains { $0.lowercased() == name.lowercased() }
        }
        if missing.isEmpty { return nil }
        return "created without \(missing.joined(separator: ", ")); for one with these names remove "
            + "\(path(configuration)) and restart: the fingerprint changes, and users must compare it again"
    }

    private static func names(_ configuration: Configuration) -> [String] {
        let asked = configuration[Settings.tlsNames]
        if !asked.isEmpty { return asked }
        return (HostName.own.map { [$0] } ?? []) + ["localhost", "127.0.0.1", "::1"]
    }
}

/// This machine's name.
enum HostName {
    /// The maximum length of a host name, in bytes (POSIX).
    private static let limit = 255

    static var own: String? {
        var name = [CChar](repeating: 0, count: limit + 1)
        guard gethostname(&name, limit) == 0, name[0] != 0 else { return nil }
        return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
