import Glibc
public import Logging
import NIOCore
import NIOHTTP1
public import Outbound
public import TransportSecurity

/// Staples the issuer's OCSP responses to the served certificates, if a certificate names a responder.
///
/// A failure is not an outage: clients that require a response ask for it themselves. An old response is kept for
/// twelve hours.
public struct OCSPKeeper: Sendable {
    /// The interval between two checks for a new certificate, in seconds.
    private static let tickSeconds = 10
    /// The interval between two OCSP requests, in seconds: responses are valid for days.
    private static let intervalSeconds = 6 * 3600
    /// The interval between two OCSP requests after a failure, in seconds.
    private static let retrySeconds = 600
    /// How long a response is used if no newer one arrives, in seconds: twelve hours, which is shorter than the
    /// validity of any authority's responses.
    private static let keepSeconds = 12 * 3600

    private let store: ServerCertificates
    private let client: HTTPClient
    private let logger: Logger

    public init(store: ServerCertificates, client: HTTPClient, logger: Logger) {
        self.client = client
        self.store = store
        self.logger = logger
    }

    /// The times of the last response from a certificate's issuer and of the next request, in epoch seconds.
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
            guard answer.status == 200 else { throw TLSError(.failed, "the OCSP responder returned \(answer.status)") }
            let bytes = Array(answer.body.readableBytesView)
            try OCSP.check(bytes, pair.leaf, issuer: issuer)
            store.staple(bytes, for: pair.leaf)
            return true
        } catch {
            logger.warning("no OCSP response to staple", metadata: ["problem": "\(NetworkError.sentence(error))"])
            let isRevoked = (error as? TLSError)?.code == .badCertificate
            if isOld || isRevoked { store.staple(nil, for: pair.leaf) }
            return false
        }
    }
}
