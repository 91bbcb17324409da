import COpenSSL
import Synchronization

/// The certificates a server can present, by name. They can be replaced at any time: a connection keeps the certificate
/// it started with.
public final class ServerCertificates: Sendable {
    private struct Served {
        let pair: CertificatePair
        let context: TLSContext
        let staple: Staple
    }

    private struct State {
        /// The first is for clients that send no name.
        var served: [Served] = []
        /// Whether to present a certificate to clients that ask for a name no certificate contains. A self-signed
        /// certificate is pinned, so its name does not matter.
        var servesAnyName = true
        /// Certificates presented for one name each: domains of organisations.
        var named = NamedCertificates()
        /// The certificate presented for every name directly below a domain, if no other certificate contains that
        /// name.
        var below: (domain: String, served: Served)?
        /// The certificates that answer tls-alpn-01 checks, by name.
        var challenges: [String: TLSContext] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    /// Presents this certificate from the next handshake on.
    /// - Parameter servesAnyName: presents it also to clients that ask for another name. If false, those get an alert.
    /// - Throws: ``TLSError`` if certificate and key do not belong together. Then nothing changes.
    public func serve(_ pair: CertificatePair, servesAnyName: Bool) throws(TLSError) {
        try serve([pair], servesAnyName: servesAnyName)
    }

    /// Presents each of these to clients that ask for one of its names (RFC 6066, section 3), and the first to clients
    /// that send no name.
    /// - Throws: ``TLSError`` if a certificate and its key do not belong together. Then nothing changes.
    public func serve(_ pairs: [CertificatePair], servesAnyName: Bool) throws(TLSError) {
        let before = state.withLock { $0.served }
        var served: [Served] = []
        for pair in pairs {
            // A certificate that is unchanged keeps its stapled response.
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

    /// Presents this certificate for names below a domain from the next handshake on.
    /// - Throws: ``TLSError`` if certificate and key do not belong together. Then nothing changes.
    public func serve(_ pair: CertificatePair, below domain: String) throws(TLSError) {
        let staple = Staple()
        let served = Served(pair: pair, context: try TLSContext.certificate(pair, staple: staple), staple: staple)
        state.withLock { $0.below = (domain, served) }
    }

    /// Presents this certificate for one name, in lower case, from the next handshake on.
    /// - Throws: ``TLSError`` if certificate and key do not belong together. Then nothing changes.
    public func serve(_ pair: CertificatePair, name: String) throws(TLSError) {
        let result = state.withLock { state in Result { () throws(TLSError) in try state.named.set(pair, name: name) } }
        try result.get()
    }

    public func forget(name: String) { state.withLock { $0.named.forget(name) } }

    /// Whether the certificate presented for a name contains that name and was issued by an authority.
    public func isTrusted(for name: String) -> Bool {
        let (isNamed, leaf) = state.withLock { state in
            (state.named.has(name) ? state.named.isTrusted(name) : nil, Self.served(for: name, in: state)?.pair.leaf)
        }
        if let isNamed { return isNamed }
        return leaf.map { $0.matches(name: name) && !$0.isSelfIssued } ?? false
    }

    /// The expiry of the certificate presented for a name, in epoch seconds.
    public func notAfter(for name: String) -> Int? {
        state.withLock { $0.named.notAfter(name) ?? Self.served(for: name, in: $0)?.pair.leaf.notAfter }
    }

    private static func served(for name: String, in state: State) -> Served? {
        if let named = state.served.first(where: { $0.pair.leaf.matches(name: name) }) { return named }
        if let below = state.below, name.hasSuffix(".\(below.domain)") { return below.served }
        return state.servesAnyName ? state.served.first : nil
    }

    /// The certificates presented now. The first is for clients that send no name.
    public var current: [CertificatePair] { state.withLock { $0.served.map(\.pair) } }

    /// Staples an OCSP response to a certificate, if that certificate is still served.
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

    /// What a connection presents.
    enum Choice {
        case context(TLSContext)
        case pair(ParsedPair)
    }

    /// Looks the certificate up in memory. A handshake never orders a certificate.
    func choice(for hello: ClientHello) -> Choice? {
        state.withLock { state in
            if hello.isChallenge { return hello.serverName.flatMap { state.challenges[$0] }.map(Choice.context) }
            // Clients that send no name connected by address.
            guard let name = hello.serverName else { return state.served.first.map { .context($0.context) } }
            if let pair = state.named.pair(for: name) { return .pair(pair) }
            return Self.served(for: name, in: state).map { .context($0.context) }
        }
    }
}
