import Crypto
import FoundationEssentials
import Glibc
import Model
import NIOCore
import Outbound
import TransportSecurity

/// One attempt to get a certificate: account, order, proofs, finalise, download.
///
/// All state that must survive a crash is written to disk before the step that needs it: the account key before the
/// account, the order before its proofs, and the certificate's key before the certificate is requested.
struct ACMEIssuance: Sendable {
    /// The interval between two polls of an order or a proof, in seconds, if the authority names none.
    private static let pollSeconds = 1
    /// The longest poll interval that an authority may ask for, in seconds.
    private static let longestPollSeconds = 60
    /// The number of polls of one order or proof before the attempt fails.
    private static let polls = 60

    let settings: ACMESettings
    let files: ACMEFiles
    let store: ServerCertificates
    let answers: ChallengeAnswers
    let client: HTTPClient
    /// Reports the current step, for `cert status`.
    let progress: @Sendable (String) -> Void

    /// - Parameter replacing: the certificate that the new one replaces (RFC 9773, section 5).
    /// - Throws: ``ACMEError``, ``TLSError``.
    func run(replacing: Certificate?) async throws -> CertificatePair {
        let connection = try await connect()
        do {
            try await rollOverIfAsked(connection)
            return try await issue(connection, replacing: replacing)
        } catch let error as ACMEError where error.type == "accountDoesNotExist" {
            // The authority does not know the account any more (a test authority restarted). Register again, once.
            files.forgetAccount()
            return try await issue(try await connect(), replacing: nil)
        }
    }

    // MARK: Account

    private func connect() async throws -> ACMEConnection {
        let tls = try settings.tls()
        let key = try files.accountKey()
        let connection = ACMEConnection(
            directoryURL: settings.directory, client: client, tls: tls, key: key,
            account: files.account(of: settings.directory))
        if files.account(of: settings.directory) == nil { try await register(connection, key) }
        return connection
    }

    private func register(_ connection: ACMEConnection, _ key: ACMEAccountKey) async throws {
        progress("registering an account")
        let directory = try await connection.directory()
        if directory.meta?.externalAccountRequired == true && settings.binding == nil {
            throw ACMEError(
                "externalAccountRequired",
                "this authority requires an external account; set acme-eab-key-id and acme-eab-hmac-key")
        }
        var fields = [#""termsOfServiceAgreed":true"#]
        if let email = settings.email { fields.append(#""contact":[\#(JSONString.quoted("mailto:" + email))]"#) }
        if let (keyId, hmacKey) = settings.binding {
            let binding = key.binding(keyId: keyId, hmacKey: hmacKey, url: directory.newAccount)
            fields.append(#""externalAccountBinding":\#(binding)"#)
        }
        let answer = try await connection.post(
            directory.newAccount, "{\(fields.joined(separator: ","))}", asNewAccount: true)
        guard let account = answer.location else {
            throw ACMEError("unexpected", "the certificate authority returned no account URL")
        }
        try files.save(account: account, of: settings.directory)
        await connection.use(key: key, account: account)
    }

    /// Account key rollover (RFC 8555, section 7.3.5), when `postern cert renew --new-account-key` asked for it.
    private func rollOverIfAsked(_ connection: ACMEConnection) async throws {
        guard files.isRolloverAsked, let account = files.account(of: settings.directory),
            let url = try await connection.directory().keyChange
        else { return }
        progress("replacing the account's key")
        let old = try files.accountKey()
        let new = try files.nextAccountKey()
        let inner = try new.sign(
            #"{"account":\#(JSONString.quoted(account)),"oldKey":\#(old.jwk)}"#, url: url, nonce: nil, as: .jwk)
        do {
            _ = try await connection.post(url, inner)
        } catch let error as ACMEError where error.type != "unreachable" && error.type != "accountDoesNotExist" {
            // After a crash between the authority's response and our rename, the new key is already in force. The old
            // key no longer signs valid requests.
            await connection.use(key: new, account: nil)
            let newAccount = try await connection.directory().newAccount
            let known = try? await connection.post(newAccount, #"{"onlyReturnExisting":true}"#, asNewAccount: true)
            guard known?.location == account else {
                await connection.use(key: old, account: account)
                throw error
            }
        }
        try files.adoptNextAccountKey()
        await connection.use(key: new, account: account)
    }

    // MARK: Order

    private func issue(_ connection: ACMEConnection, replacing: Certificate?) async throws -> CertificatePair {
        let resumed = try await resumedOrder(connection)
        var (url, order) = if let resumed { resumed } else { try await newOrder(connection, replacing) }
        if order.status == "pending" {
            for authorization in order.authorizations { try await prove(authorization, connection) }
            order = try await poll(connection, url, "the order") { (order: ACMEOrder) in order.status != "pending" }
        }
        if order.status == "ready" {
            progress("requesting the certificate")
            let request = try Issuing.request(names: settings.names, key: files.orderKey())
            _ = try await connection.post(order.finalize, #"{"csr":"\#(Base64.url(request))"}"#)
        }
        order = try await poll(connection, url, "the order") { (order: ACMEOrder) in
            order.status == "valid" || order.status == "invalid"
        }
        guard order.status == "valid", let location = order.certificate else {
            files.forgetOrder()
            throw ACMEError(order.error?.word ?? "orderFailed", order.error?.sentence ?? "the order failed")
        }
        let answer = try await connection.post(location)
        let chain = try Certificate.chain(pem: String(buffer: answer.body))
        let pair = try CertificatePair(chain: chain, key: files.orderKey())
        for name in settings.names where !pair.leaf.matches(name: name) {
            throw ACMEError("unexpected", "the new certificate is not for \(name)")
        }
        try files.save(certificate: pair)
        return pair
    }

    /// An order from before a crash or a failure, if the authority still knows it and it is for the same names.
    private func resumedOrder(_ connection: ACMEConnection) async throws -> (String, ACMEOrder)? {
        guard let url = files.order(names: settings.names, directoryURL: settings.directory) else { return nil }
        do {
            let order = try await connection.post(url).value(ACMEOrder.self)
            if order.status != "invalid" {
                progress("resuming the previous order")
                return (url, order)
            }
        } catch let error as ACMEError where Self.saysUnknown(error) {
            // The authority does not know the order any more: a new one is created.
        }
        files.forgetOrder()
        return nil
    }

    /// Whether the authority does not know the order, or no longer knows it.
    private static func saysUnknown(_ error: ACMEError) -> Bool {
        ["malformed", "unauthorized", "notFound", "orderNotFound"].contains(error.type)
    }

    /// Whether the error is unrelated to the order's content: an order without `replaces` would fail too.
    private static func isUnrelatedToOrder(_ error: ACMEError) -> Bool {
        ["unreachable", "rateLimited", "badNonce", "accountDoesNotExist", "serverInternal"].contains(error.type)
    }

    private func newOrder(_ connection: ACMEConnection, _ replacing: Certificate?) async throws -> (String, ACMEOrder) {
        progress("ordering a certificate for \(settings.names.joined(separator: ", "))")
        let names = settings.names.map { name in
            let type = IPAddressText.isAddress(name) ? "ip" : "dns"
            return #"{"type":"\#(type)","value":\#(JSONString.quoted(name))}"#
        }
        let directory = try await connection.directory()
        var fields = [#""identifiers":[\#(names.joined(separator: ","))]"#]
        if let replacing, directory.renewalInfo != nil {
            fields.append(#""replaces":"\#(RenewalIdentifier.text(of: replacing))""#)
        }
        let answer: ACMEConnection.Answer
        var isRenewal = fields.count > 1
        do {
            answer = try await connection.post(directory.newOrder, "{\(fields.joined(separator: ","))}")
        } catch let error as ACMEError where fields.count > 1 && !Self.isUnrelatedToOrder(error) {
            // The certificate was already replaced, or belongs to another account or authority. Retry without the hint.
            isRenewal = false
            answer = try await connection.post(directory.newOrder, "{\(fields[0])}")
        }
        guard let url = answer.location else { throw ACMEError("unexpected", "the order has no URL") }
        try await settings.ledger?.order(settings.names, isRenewal: isRenewal)
        // Each certificate has its own key.
        try files.save(order: url, names: settings.names, directoryURL: settings.directory, key: PrivateKey.generate())
        return (url, try answer.value(ACMEOrder.self))
    }

    // MARK: Proofs

    private func prove(_ url: String, _ connection: ACMEConnection) async throws {
        let authorization = try await connection.post(url).value(ACMEAuthorization.self)
        if authorization.status == "valid" { return }
        let name = authorization.identifier.value
        guard let challenge = authorization.challenges.first(where: { $0.type == settings.challenge.rawValue }),
            let token = challenge.token, token.utf8.allSatisfy(Self.isTokenByte)
        else {
            files.forgetOrder()
            throw ACMEError(
                "unexpected", "the authority offers no \(settings.challenge.rawValue) challenge for \(name)")
        }
        progress("validating \(name) with \(settings.challenge.rawValue)")
        let proof = try files.accountKey().authorization(token: token)
        try await begin(name: name, token: token, proof: proof)
        do {
            try await see(authorization: url, challenge, of: name, connection)
        } catch {
            await end(name: name, token: token, proof: proof)
            throw error
        }
        await end(name: name, token: token, proof: proof)
    }

    /// Asks the authority to check the proof and waits for the result.
    private func see(
        authorization url: String, _ challenge: ACMEChallenge, of name: String, _ connection: ACMEConnection
    ) async throws {
        // After a crash the authority may already be checking it.
        if challenge.status != "processing" { _ = try await connection.post(challenge.url, "{}") }
        let answered = try await poll(connection, url, "the validation of \(name)") { (answer: ACMEAuthorization) in
            answer.status != "pending"
        }
        guard answered.status == "valid" else {
            files.forgetOrder()
            await settings.ledger?.fail(name)
            let problem = answered.challenges.compactMap(\.error).first
            throw ACMEError(problem?.word ?? "proofFailed", "\(name): \(problem?.sentence ?? "the validation failed")")
        }
    }

    /// RFC 8555, section 8.1: base64url. Any other byte could become part of a path.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private func begin(name: String, token: String, proof: String) async throws {
        switch settings.challenge {
        case .http: answers.set(token, proof)
        case .tlsALPN:
            let digest = Array(SHA256.hash(data: Array(proof.utf8)))
            try store.beginChallenge(name: name, Issuing.challenge(name: name, digest: digest, now: time(nil)))
        case .dns:
            guard let prover = settings.prover else {
                throw ACMEError("unexpected", "DNS validation is not configured")
            }
            try await prover.present(name: Self.record(of: name), value: Self.text(proof))
        }
    }

    private func end(name: String, token: String, proof: String) async {
        switch settings.challenge {
        case .http: answers.remove(token)
        case .tlsALPN: store.endChallenge(name: name)
        case .dns: await settings.prover?.remove(name: Self.record(of: name), value: Self.text(proof))
        }
    }

    /// The proof of `*.DOMAIN` is also stored at the domain's own name.
    private static func record(of name: String) -> String { "_acme-challenge.\(name)" }

    /// RFC 8555, section 8.4.
    private static func text(_ proof: String) -> String { Base64.url(Array(SHA256.hash(data: Array(proof.utf8)))) }

    private func poll<Value: Decodable>(
        _ connection: ACMEConnection, _ url: String, _ what: String, until isDone: (Value) -> Bool
    ) async throws -> Value {
        for _ in 0..<Self.polls {
            let answer = try await connection.post(url)
            let value = try answer.value(Value.self)
            if isDone(value) { return value }
            let seconds = min(max(answer.retryAfter ?? Self.pollSeconds, 1), Self.longestPollSeconds)
            try await Task.sleep(for: .seconds(seconds))
        }
        throw ACMEError("timeout", "\(what) is still pending after \(Self.polls) checks; it is resumed later")
    }
}
