import CertificateAuthorities
import Model

/// Adds proofs to DNS with the owner's own program: `HOOK present|remove NAME VALUE`. The program returns when the
/// record can be looked up.
struct DNSHook: NameProver {
    /// The timeout in seconds. A provider's records may need a minute until they are visible everywhere.
    private static let timeout = 180

    let path: String

    func present(name: String, value: String) async throws {
        let status = try await Program.run(path, ["present", name, value], timeout: Self.timeout)
        guard status == 0 else { throw CommandFailure("\(path) present \(name) failed with status \(status)") }
    }

    func remove(name: String, value: String) async {
        // A record that is not removed does no harm, and the hook's own output names the problem.
        _ = try? await Program.run(path, ["remove", name, value], timeout: Self.timeout)
    }
}
