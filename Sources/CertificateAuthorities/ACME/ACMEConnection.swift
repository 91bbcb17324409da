import FoundationEssentials
import NIOCore
import NIOHTTP1
import Outbound
import TransportSecurity

/// Signed requests to one certificate authority. Handles the directory and nonces, and keeps the authority's error
/// texts.
actor ACMEConnection {
    /// The number of refused nonces in a row after which the request fails: an authority may refuse any number of them
    /// at random.
    private static let nonceAttempts = 10
    private static let agent = "postern"

    struct Answer: Sendable {
        let status: Int
        let location: String?
        let retryAfter: Int?
        let body: ByteBuffer

        func value<Value: Decodable>(_ type: Value.Type) throws -> Value {
            do {
                return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
            } catch {
                throw ACMEError("unexpected", "the certificate authority's response cannot be read (\(error))")
            }
        }
    }

    private let directoryURL: String
    private let client: HTTPClient
    private let tls: TLSContext
    private var key: ACMEAccountKey
    private var account: String?
    private var known: ACMEDirectory?
    private var nonce: String?

    init(directoryURL: String, client: HTTPClient, tls: TLSContext, key: ACMEAccountKey, account: String?) {
        self.directoryURL = directoryURL
        self.client = client
        self.tls = tls
        self.key = key
        self.account = account
    }

    func use(key: ACMEAccountKey, account: String?) {
        self.key = key
        self.account = account
    }

    func directory() async throws -> ACMEDirectory {
        if let known { return known }
        let found = try await get(directoryURL).value(ACMEDirectory.self)
        known = found
        return found
    }

    /// An unsigned GET: directory and renewal information.
    func get(_ url: String) async throws -> Answer {
        let answer = try await exchange(.GET, url, body: nil)
        guard answer.status < 400 else { throw problem(answer) }
        return answer
    }

    /// A signed POST. An empty payload reads a resource (POST-as-GET). A refused nonce is replaced (RFC 8555, section
    /// 6.5).
    func post(_ url: String, _ payload: String = "", asNewAccount: Bool = false) async throws -> Answer {
        for attempt in 1... {
            let nonce = try await takeNonce()
            let identity: ACMEAccountKey.Identity =
                if let account, !asNewAccount { .account(account) } else { .jwk }
            let body = try key.sign(payload, url: url, nonce: nonce, as: identity)
            let answer = try await exchange(.POST, url, body: ByteBuffer(string: body))
            if answer.status < 400 { return answer }
            let error = problem(answer)
            guard error.type == "badNonce", attempt < Self.nonceAttempts else { throw error }
        }
        throw ACMEError("badNonce", "the certificate authority rejects every nonce")
    }

    private func takeNonce() async throws -> String {
        if let nonce {
            self.nonce = nil
            return nonce
        }
        _ = try await exchange(.HEAD, try await directory().newNonce, body: nil)
        guard let fresh = nonce else { throw ACMEError("unexpected", "the certificate authority sent no nonce") }
        nonce = nil
        return fresh
    }

    private func exchange(_ method: HTTPMethod, _ url: String, body: ByteBuffer?) async throws -> Answer {
        guard let target = WebAddress(url, scheme: "https") else {
            throw ACMEError("unexpected", "'\(url)' is not an https:// address")
        }
        var headers: HTTPHeaders = ["User-Agent": Self.agent]
        if body != nil { headers.add(name: "Content-Type", value: "application/jose+json") }
        let answer: HTTPAnswer
        do {
            answer = try await client.exchange(
                .https(host: target.host, port: target.port, tls),
                HTTPRequest(method, target.path, headers: headers, body: body.map { .bytes($0) } ?? .none))
        } catch {
            // It is not a failure if the server is stopping.
            try Task.checkCancellation()
            throw ACMEError("unreachable", "\(target.authority) cannot be reached: \(NetworkError.sentence(error))")
        }
        if let fresh = answer.headers.first(name: "Replay-Nonce") { nonce = fresh }
        return Answer(
            status: answer.status, location: answer.headers.first(name: "Location"),
            retryAfter: answer.headers.first(name: "Retry-After").flatMap { Int($0) }, body: answer.body)
    }

    private func problem(_ answer: Answer) -> ACMEError {
        guard let problem = try? answer.value(ACMEProblem.self) else {
            return ACMEError(
                "unexpected", "the certificate authority responded with \(answer.status)", retryAfter: answer.retryAfter
            )
        }
        return ACMEError(problem.word, problem.sentence, retryAfter: answer.retryAfter)
    }
}
