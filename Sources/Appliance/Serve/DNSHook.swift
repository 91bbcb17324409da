import CertificateAuthorities
import Model

/// The owner's own program puts proofs into DNS: `HOOK present|remove NAME VALUE`. It returns when the record can be looked up.
struct DNSHook: NameProver {
    /// Providers' records take a minute to be seen everywhere. In seconds.
    private static let timeout = 180

    let path: String

    func present(name: String, value: String) async throws {
        let status = try await Program.run(path, ["present", name, value], timeout: Self.timeout)
        guard status == 0 else { throw CommandFailure("\(path) present \(name) failed with status \(status)") }
    }

    func remove(name: String, value: String) async {
        // A record that is left behind harms nobody; the hook's own output says what is wrong.
        _ = try? await Program.run(path, ["remove", name, value], timeout: Self.timeout)
    }
}
