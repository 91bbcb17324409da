import COpenSSL
import Synchronization

/// The certificates a server can show, by name. Swapped while connections go on: each holds on to the one it began with.
public final class ServerCertificates: Sendable {
    private struct Served {
        let pair: CertificatePair
        let context: TLSContext
        let staple: Staple
    }

    private struct State {
        /// The first is for clients that ask for no name.
        var served: [Served] = []
        /// Shown to clients that ask for a name no certificate carries: a self-signed one is pinned, its name does not matter.
        var servesAnyName = true
        /// Shown for every name directly below a domain where no other certificate carries it.
        var below: (domain: String, served: Served)?
        /// tls-alpn-01 answers, by name.
        var challenges: [String: TLSContext] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    /// Shows this certificate from the next handshake on.
    /// - Parameter servesAnyName: also to clients that ask for another name; those get an alert otherwise.
    /// - Throws: ``TLSError`` when certificate and key do not belong together; then nothing changes.
    public func serve(_ pair: CertificatePair, servesAnyName: Bool) throws(TLSError) {
        try serve([pair], servesAnyName: servesAnyName)
    }

    /// Shows each of these to those who ask for one of its names (RFC 6066, section 3), and the first to those who ask for none.
    /// - Throws: ``TLSError`` when a certificate and its key do not belong together; then nothing changes.
    public func serve(_ pairs: [CertificatePair], servesAnyName: Bool) throws(TLSError) {
        let before = state.withLock { $0.served }
        var served: [Served] = []
        for pair in pairs {
            // The same as before keeps what its issuer said of it.
            if let same = before.first(where: { $0.pair.leaf === pair.leaf }) {
                served.append(same)
                continue
            }
            let staple = Staple()
            served.append(
                Served(pair: pair, context: try TLSContext.certificate(pair, staple: staple), staple: staple))
        }
        state.withLock {
            $0.served = served
            $0.servesAnyName = servesAnyName
        }
    }

    /// Shows this certificate for names below a domain from the next handshake on.
    /// - Throws: ``TLSError`` when certificate and key do not belong together; then nothing changes.
    public func serve(_ pair: CertificatePair, below domain: String) throws(TLSError) {
        let staple = Staple()
        let served = Served(pair: pair, context: try TLSContext.certificate(pair, staple: staple), staple: staple)
        state.withLock { $0.below = (domain, served) }
    }

    /// Whether what is shown for a name carries it and is from an authority.
    public func isTrusted(for name: String) -> Bool {
        let leaf = state.withLock { Self.served(for: name, in: $0)?.pair.leaf }
        return leaf.map { $0.matches(name: name) && !$0.isSelfIssued } ?? false
    }

    /// When the certificate that is shown for a name ends, in epoch seconds.
    public func notAfter(for name: String) -> Int? {
        state.withLock { Self.served(for: name, in: $0)?.pair.leaf.notAfter }
    }

    private static func served(for name: String, in state: State) -> Served? {
        if let named = state.served.first(where: { $0.pair.leaf.matches(name: name) }) { return named }
        if let below = state.below, name.hasSuffix(".\(below.domain)") { return below.served }
        return state.servesAnyName ? state.served.first : nil
    }

    /// What is shown now; the first is for clients that ask for no name.
    public var current: [CertificatePair] { state.withLock { $0.served.map(\.pair) } }

    /// Hands on the issuer's word with a certificate, if that is still the one that is served.
    public func staple(_ answer: [UInt8]?, for certificate: Certificate) {
        state.withLock { state in
            state.served.first { $0.pair.leaf === certificate }?.staple.set(answer)
        }
    }

    /// Answers tls-alpn-01 checks for a name until ``endChallenge(name:)``.
    /// - Throws: ``TLSError``.
    public func beginChallenge(name: String, _ pair: CertificatePair) throws(TLSError) {
        let context = try TLSContext.certificate(pair)
        state.withLock { $0.challenges[ChallengeName.text(of: name)] = context }
    }

    public func endChallenge(name: String) { state.withLock { $0.challenges[ChallengeName.text(of: name)] = nil } }

    /// A look-up in memory: a handshake never orders a certificate.
    func context(for hello: ClientHello) -> TLSContext? {
        state.withLock { state in
            if hello.isChallenge { return hello.serverName.flatMap { state.challenges[$0] } }
            // Clients that name nobody came by address.
            guard let name = hello.serverName else { return state.served.first?.context }
            return Self.served(for: name, in: state)?.context
        }
    }
}
