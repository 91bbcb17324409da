import Model
import Synchronization
public import TransportSecurity

/// The owner's settings for the certificate authority.
public struct ACMESettings: Sendable {
    public enum Challenge: String, Sendable, CaseIterable {
        case http = "http-01", tlsALPN = "tls-alpn-01", dns = "dns-01"
    }

    public var directory: String
    public var names: [String]
    public var email: String?
    public var challenge: Challenge
    /// The root certificates for the directory's own HTTPS. Nil trusts the system's.
    public var authorities: String?
    /// External account binding: the key's id and the key.
    public var binding: (keyId: String, hmacKey: [UInt8])?
    /// The directory for keys, the current order and the certificate.
    public var stateDirectory: String
    /// The directory for the account. Nil for ``stateDirectory``. Several names share one account: authorities limit
    /// new ones.
    public var accountDirectory: String?
    /// Counts orders against the authority's limits. Nil if one certificate cannot reach them.
    public var ledger: ACMELedger?
    /// For dns-01.
    public var prover: (any NameProver)?
    /// Shared by copies of these settings: the system's authorities take milliseconds to read.
    private let trust = SharedTrust()

    public init(
        directory: String, names: [String], email: String?, challenge: Challenge, authorities: String?,
        stateDirectory: String
    ) {
        self.directory = directory
        self.names = names
        self.email = email
        self.challenge = challenge
        self.authorities = authorities
        self.stateDirectory = stateDirectory
    }

    /// - Parameter hmacKey: base64url, as authorities issue it.
    public mutating func bind(keyId: String, hmacKey: String) throws(TLSError) {
        guard let key = Base64.urlBytes(hmacKey), !key.isEmpty else {
            throw TLSError(.failed, "the external account's HMAC key is not base64url")
        }
        binding = (keyId, key)
    }

    /// The TLS settings for the directory's HTTPS.
    /// - Throws: ``TLSError``.
    func tls() throws(TLSError) -> TLSContext { try trust.context(authorities) }
}

/// A client's TLS settings, made when they are first used.
private final class SharedTrust: Sendable {
    private let made = Mutex<(authorities: String?, context: TLSContext)?>(nil)

    func context(_ authorities: String?) throws(TLSError) -> TLSContext {
        let result = made.withLock { made -> Result<TLSContext, TLSError> in
            if let made, made.authorities == authorities { return .success(made.context) }
            return Result { () throws(TLSError) in
                let context = try TLSContext.client(trust: authorities.map { .authorities(file: $0) } ?? .system)
                made = (authorities, context)
                return context
            }
        }
        return try result.get()
    }
}
