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
    public func present(name: String, value: String) async throws { add(value) }

    public func remove(name: String, value: String) async { remove(value) }
}
