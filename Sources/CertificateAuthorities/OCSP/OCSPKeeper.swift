import Glibc
public import Logging
import NIOCore
import NIOHTTP1
public import Outbound
public import TransportSecurity

/// Staples the issuer's word to the certificates that are served, where a certificate names somebody to ask.
///
/// A failure is no outage: clients that insist ask for themselves. An old answer is kept for twelve hours.
public struct OCSPKeeper: Sendable {
    /// Between two looks whether another certificate is served, in seconds.
    private static let tickSeconds = 10
    /// Between two questions, in seconds: answers are good for days.
    private static let intervalSeconds = 6 * 3600
    /// Between two questions after a failure, in seconds.
    private static let retrySeconds = 600
    /// How long an answer is handed on where no newer one comes, in seconds: twelve hours, which is less than any authority's
    /// answers are good for.
    private static let keepSeconds = 12 * 3600

    private let store: ServerCertificates
    private let client: HTTPClient
    private let logger: Logger

    public init(store: ServerCertificates, client: HTTPClient, logger: Logger) {
        self.client = client
        self.store = store
        self.logger = logger
    }

    /// When a certificate's issuer was last heard, and when it is asked next; epoch seconds.
    private struct Asked {
        let leaf: Certificate
        var last = 0
        var next = 0
    }

    /// Runs until its task is cancelled.
    public func run() async throws {
        var asked: [Asked] = []
        while !Task.isCancelled {
            let pairs = store.current
            asked.removeAll { old in !pairs.contains { $0.leaf === old.leaf } }
            for pair in pairs {
                var state = asked.first { $0.leaf === pair.leaf } ?? Asked(leaf: pair.leaf)
                let now = time(nil)
                guard now >= state.next else { continue }
                let isStapled = await staple(pair, isOld: now - state.last > Self.keepSeconds)
                if isStapled { state.last = now }
                state.next = now + (isStapled ? Self.intervalSeconds : Self.retrySeconds)
                asked.removeAll { $0.leaf === pair.leaf }
                asked.append(state)
            }
            try await Task.sleep(for: .seconds(Self.tickSeconds))
        }
    }

    private func staple(_ pair: CertificatePair, isOld: Bool) async -> Bool {
        guard pair.chain.count > 1, let address = OCSP.responder(of: pair.leaf),
            let target = WebAddress(address, scheme: "http")
        else { return false }
        let issuer = pair.chain[1]
        do {
            let body = ByteBuffer(bytes: try OCSP.request(pair.leaf, issuer: issuer))
            let answer = try await client.exchange(
                .http(host: target.host, port: target.port),
                HTTPRequest(
                    .POST, target.path, headers: ["Content-Type": "application/ocsp-request"], body: .bytes(body))
            )
            guard answer.status == 200 else { throw TLSError(.failed, "the OCSP responder answered \(answer.status)") }
            let bytes = Array(answer.body.readableBytesView)
            try OCSP.check(bytes, pair.leaf, issuer: issuer)
            store.staple(bytes, for: pair.leaf)
            return true
        } catch {
            logger.warning("no OCSP answer to staple", metadata: ["problem": "\(NetworkError.sentence(error))"])
            let isRevoked = (error as? TLSError)?.code == .badCertificate
            if isOld || isRevoked { store.staple(nil, for: pair.leaf) }
            return false
        }
    }
}
