import Crypto
public import Model
import Wire

/// The guest's side of the handshake.
public struct GuestHandshake: Sendable {
    private let sessionId: String
    private let permission: Permission
    private let invitation: ShareInvitation
    private let nonce: [UInt8]
    private var keys: PairingKeys?

    /// Whether a proof was made: before that, a confirmation answers another handshake.
    public var hasProved: Bool { keys != nil }

    /// Proofs that a guest sends without ever seeing one confirmed: whoever made the offer can test one guess against each,
    /// so that they are counted like the host counts its guests' failures.
    public static let unconfirmedProofsAllowed = 5

    /// - Parameter permission: what the relay said the code gives; a lie makes the proof fail.
    public init(sessionId: String, permission: Permission, invitation: ShareInvitation) {
        self.sessionId = sessionId
        self.permission = permission
        self.invitation = invitation
        nonce = randomBytes(16)
    }

    /// The first message.
    public var hello: HandshakeMessage {
        .hello(secretKind: invitation.secret.kind, nonce: nonce, code: invitation.code)
    }

    /// Answers the host's offer with a proof; once, for a proof lets the other side test one guess.
    /// - Returns: nil for an offer that answers another hello, and for any offer but the first.
    /// - Throws: ``EndToEndError/lowOrderPoint``.
    public mutating func receive(
        offerNonce: [UInt8], point: [UInt8], guestNonce: [UInt8]
    ) throws(EndToEndError) -> HandshakeMessage? {
        guard keys == nil, guestNonce == nonce else { return nil }
        let transcript = HandshakeTranscript(
            sessionId: sessionId, permission: permission, secret: invitation.secret, hello: hello,
            hostNonce: offerNonce, guestNonce: nonce)
        let share = try CPace.Share(generator: transcript.generator)
        let keys = try transcript.keys(own: share, peer: point, isHost: false)
        self.keys = keys
        return .proof(point: share.publicPoint, confirmation: keys.confirmation(byHost: false))
    }

    /// Checks the host's confirmation; only then does anything the host says count.
    /// - Throws: ``EndToEndError/wrongSecret``: whoever answered does not know the secret.
    public func receive(confirmation: [UInt8]) throws(EndToEndError) -> Pairing {
        guard let keys, keys.confirms(confirmation, byHost: true) else { throw .wrongSecret }
        return Pairing(keys, isHost: false, sessionId: sessionId)
    }
}

func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}
