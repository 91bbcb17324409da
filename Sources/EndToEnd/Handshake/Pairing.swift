import Crypto
import FoundationEssentials
public import Model
import Wire

/// The state that a host and one guest share after the handshake, for the whole session. A reconnect performs a new
/// X25519 exchange under it and starts new keys at zero.
public struct Pairing: Sendable {
    public let permission: Permission
    let sessionId: String
    private let resumeKey: SymmetricKey
    private let first: PairingKeys
    private let isHost: Bool

    init(_ keys: PairingKeys, isHost: Bool, sessionId: String) {
        permission = keys.permission
        self.sessionId = sessionId
        self.isHost = isHost
        resumeKey = keys.derive("resume")
        first = keys
    }

    /// The channel of the first connection, generation 0.
    public func channel() -> PairwiseChannel {
        PairwiseChannel(
            hostToGuest: first.derive("host to guest"), feedback: first.derive("guest feedback"),
            input: permission == .control ? first.derive("guest input") : nil, generation: 0, isHost: isHost,
            sessionId: sessionId)
    }

    /// One side's part of a rekey.
    public struct Rekey: Sendable {
        fileprivate let key = Curve25519.KeyAgreement.PrivateKey()
        public var publicKey: [UInt8] { Array(key.publicKey.rawRepresentation) }
        public init() {}
    }

    /// The guest asks for new keys.
    public func rekeyRequest(_ own: Rekey) -> HandshakeMessage {
        .rekey(key: own.publicKey, tag: tag("rekey", own.publicKey))
    }

    /// The host answers.
    /// - Throws: ``EndToEndError`` `.notAuthentic` or `.lowOrderPoint`.
    public func answerRekey(
        key: [UInt8], tag: [UInt8], generation: UInt32
    ) throws(EndToEndError) -> (PairwiseChannel, HandshakeMessage) {
        guard isValid(tag, "rekey", key) else { throw .notAuthentic }
        let own = Rekey()
        let channel = try channel(own, peer: key, guestKey: key, hostKey: own.publicKey, generation: generation)
        let answered = "rekeyed \(generation)"
        return (
            channel,
            .rekeyed(generation: generation, key: own.publicKey, tag: self.tag(answered, own.publicKey + key))
        )
    }

    /// The guest takes the answer.
    /// - Throws: ``EndToEndError`` `.notAuthentic` or `.lowOrderPoint`.
    public func finishRekey(
        _ own: Rekey, generation: UInt32, key: [UInt8], tag: [UInt8]
    ) throws(EndToEndError) -> PairwiseChannel {
        guard isValid(tag, "rekeyed \(generation)", key + own.publicKey) else { throw .notAuthentic }
        return try channel(own, peer: key, guestKey: own.publicKey, hostKey: key, generation: generation)
    }

    private func channel(
        _ own: Rekey, peer: [UInt8], guestKey: [UInt8], hostKey: [UInt8], generation: UInt32
    ) throws(EndToEndError) -> PairwiseChannel {
        let shared = try CPace.multiply(own.key, peer)
        let salt = resumeKey.withUnsafeBytes { Array($0) }
        func derive(_ label: String) -> SymmetricKey {
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: shared), salt: salt,
                info: Array("postern.v1 \(label)".utf8) + bigEndian(generation) + guestKey + hostKey,
                outputByteCount: 32)
        }
        return PairwiseChannel(
            hostToGuest: derive("host to guest"), feedback: derive("guest feedback"),
            input: permission == .control ? derive("guest input") : nil, generation: generation, isHost: isHost,
            sessionId: sessionId)
    }

    private func tag(_ label: String, _ bytes: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(label.utf8) + bytes, using: resumeKey))
    }

    private func isValid(_ tag: [UInt8], _ label: String, _ bytes: [UInt8]) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(tag, authenticating: Array(label.utf8) + bytes, using: resumeKey)
    }
}
