import COpenSSL
import Synchronization

/// The certificates a server can show, by name. Swapped while connections go on: each holds on to the one it began with.
public final class CertificateStore: Sendable {
    private struct State {
        var served: (pair: CertificatePair, context: TLSContext, staple: Staple)?
        /// Shown to clients that ask for a name no certificate carries: a self-signed one is pinned, its name does not matter.
        var servesAnyName = true
        /// tls-alpn-01 answers, by name.
        var challenges: [String: TLSContext] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    /// Shows this certificate from the next handshake on.
    /// - Parameter servesAnyName: also to clients that ask for another name; those get an alert otherwise.
    /// - Throws: ``TLSError`` when certificate and key do not belong together; then nothing changes.
    public func serve(_ pair: CertificatePair, servesAnyName: Bool) throws(TLSError) {
        let staple = Staple()
        let context = try TLSContext.certificate(pair, staple: staple)
        state.withLock {
            $0.served = (pair, context, staple)
            $0.servesAnyName = servesAnyName
        }
    }

    /// What is shown now.
    public var current: CertificatePair? { state.withLock { $0.served?.pair } }

    /// Hands on the issuer's word with a certificate, if that is still the one that is served.
    func staple(_ answer: [UInt8]?, for certificate: Certificate) {
        state.withLock { state in
            if let served = state.served, served.pair.leaf === certificate { served.staple.set(answer) }
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
            guard let served = state.served else { return nil }
            // Clients that name nobody came by address.
            guard let name = hello.serverName, !state.servesAnyName else { return served.context }
            return served.pair.leaf.matches(name: name) ? served.context : nil
        }
    }
}
