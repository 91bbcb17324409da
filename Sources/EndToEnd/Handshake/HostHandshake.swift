public import Model
public import Wire

/// The host's side of the handshake with one guest.
public struct HostHandshake: Sendable {
    private let transcript: HandshakeTranscript
    private let share: CPace.Share
    /// Goes to the guest.
    public let offer: HandshakeMessage

    /// - Parameters:
    ///   - hello: the guest's first message.
    ///   - secret: of the code that the hello names, of the kind that it names.
    /// - Throws: ``EndToEndError/malformed`` when the message is no hello.
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
    /// - Returns: the keys, and the confirmation that goes to the guest.
    /// - Throws: ``EndToEndError`` `.wrongSecret` or `.lowOrderPoint`; either is a failed proof, to be counted.
    public func receive(
        point: [UInt8], confirmation: [UInt8]
    ) throws(EndToEndError) -> (Pairing, HandshakeMessage) {
        let keys = try transcript.keys(own: share, peer: point, isHost: true)
        guard keys.confirms(confirmation, byHost: false) else { throw .wrongSecret }
        let pairing = Pairing(keys, isHost: true, sessionId: transcript.sessionId)
        return (pairing, .accept(confirmation: keys.confirmation(byHost: true)))
    }
}

/// The secrets of one share code, and how often somebody got them wrong. The host keeps count: the relay might lie.
public struct CodeSecrets: Sendable {
    /// Wrong or abandoned proofs that kill a code's words: with two words of 1,296 each, an attacker's chance is 5 in 1.7 million.
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

    /// Whether nobody can prove this secret any more. The link's lives on when the words are dead.
    public func isDead(kind: UInt8) -> Bool { kind == words.kind && failures >= Self.failuresAllowed }

    /// The secret of the kind that a hello names.
    public func secret(kind: UInt8) -> ShareSecret? { [words, link].first { $0.kind == kind } }

    /// A proof was wrong, or was begun and never given. Counts for the words only: nobody guesses a link's 128 bits, and whoever saw the
    /// code's public part must not be able to use it up for those who have the link.
    public mutating func proofFailed(kind: UInt8) { if kind == words.kind { failures += 1 } }
}
