public import Model
public import Wire

/// The host's side of the handshake with one guest.
public struct HostHandshake: Sendable {
    private let transcript: HandshakeTranscript
    private let share: CPace.Share
    /// Sent to the guest.
    public let offer: HandshakeMessage

    /// - Parameters:
    ///   - hello: the guest's first message.
    ///   - secret: the secret of the code in the hello, of the kind in the hello.
    /// - Throws: ``EndToEndError/malformed`` if the message is no hello.
    public init(
        hello: HandshakeMessage, sessionId: String, permission: Permission, secret: ShareSecret
    ) throws(EndToEndError) {
        guard case .hello(_, let guestNonce, _) = hello else { throw .malformed }
        let nonce = randomBytes(16)
        transcript = HandshakeTranscript(
            sessionId: sessionId, permission: permission, secret: secret, hello: hello, hostNonce: nonce,
            guestNonce: guestNonce)
        share = try CPace.Share(generator: transcript.generator)
        offer = .offer(nonce: nonce, point: share.publicPoint, guestNonce: guestNonce)
    }

    /// Checks the guest's proof.
    /// - Returns: the keys, and the confirmation for the guest.
    /// - Throws: ``EndToEndError`` `.wrongSecret` or `.lowOrderPoint`. Either is a failed proof and must be counted.
    public func receive(
        point: [UInt8], confirmation: [UInt8]
    ) throws(EndToEndError) -> (Pairing, HandshakeMessage) {
        let keys = try transcript.keys(own: share, peer: point, isHost: true)
        guard keys.confirms(confirmation, byHost: false) else { throw .wrongSecret }
        let pairing = Pairing(keys, isHost: true, sessionId: transcript.sessionId)
        return (pairing, .accept(confirmation: keys.confirmation(byHost: true)))
    }
}

/// The secrets of one share code, and the number of wrong proofs. The host counts them itself, because the relay might
/// lie.
public struct CodeSecrets: Sendable {
    /// Wrong or abandoned proofs after which a code's words are dead. With two words of 1,296 each, an attacker's
    /// chance is 5 in 1.7 million.
    public static let failuresAllowed = 5

    public let code: ShareCodeId
    public let permission: Permission
    public let words: ShareSecret
    public let link: ShareSecret
    public private(set) var failures = 0

    public init(code: ShareCodeId, permission: Permission) {
        self.code = code
        self.permission = permission
        words = .randomWords()
        link = .randomLink()
    }

    /// Whether this secret is no longer accepted. The link's secret remains valid after the words are dead.
    public func isDead(kind: UInt8) -> Bool { kind == words.kind && failures >= Self.failuresAllowed }

    /// The secret of the kind that a hello names.
    public func secret(kind: UInt8) -> ShareSecret? { [words, link].first { $0.kind == kind } }

    /// Counts a proof that was wrong, or was started and never sent. This applies to the words only: nobody can guess a
    /// link's 128 bits, and an attacker who saw the code's public part must not be able to disable it for those who
    /// have the link.
    public mutating func proofFailed(kind: UInt8) { if kind == words.kind { failures += 1 } }
}
