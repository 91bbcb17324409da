import Crypto

/// Puts the proof of a name into DNS, for dns-01 (RFC 8555, section 8.4).
public protocol NameProver: Sendable {
    /// Returns when the record can be looked up.
    /// - Parameters:
    ///   - name: `_acme-challenge.DOMAIN`.
    ///   - value: the value of the TXT record.
    func present(name: String, value: String) async throws
    func remove(name: String, value: String) async
}

/// Our own name server answers the query.
extension DNSResponder: NameProver {
    public func present(name: String, value: String) async throws { add(value, at: name) }

    public func remove(name: String, value: String) async { remove(value, at: name) }
}

/// Puts the proofs of organisations' domains below a name that this server controls. The domain's owner sets one CNAME
/// record, once, and the server needs no access to the domain's DNS.
public struct DelegatedProver: NameProver {
    private static let prefix = "_acme-challenge."

    private let prover: any NameProver
    private let zone: String

    /// - Parameters:
    ///   - prover: for names below the zone.
    ///   - zone: as in `_acme-challenge.t.example.net`.
    public init(_ prover: any NameProver, zone: String) {
        self.prover = prover
        self.zone = zone
    }

    /// Where `_acme-challenge.DOMAIN` must lead.
    public func target(of domain: String) -> String {
        let digest = SHA256.hash(data: Array(domain.utf8)).prefix(10).map { byte -> String in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0\(text)" : text
        }
        return "\(digest.joined()).\(zone)"
    }

    private func target(ofRecord name: String) -> String {
        target(of: name.hasPrefix(Self.prefix) ? String(name.dropFirst(Self.prefix.count)) : name)
    }

    public func present(name: String, value: String) async throws {
        try await prover.present(name: target(ofRecord: name), value: value)
    }

    public func remove(name: String, value: String) async {
        await prover.remove(name: target(ofRecord: name), value: value)
    }
}
