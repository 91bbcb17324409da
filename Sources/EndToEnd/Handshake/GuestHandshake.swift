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

    /// Whether a proof was sent. Before that, a confirmation belongs to another handshake.
    public var hasProved: Bool { keys != nil }

    /// The number of proofs that a guest sends without any confirmation. The author of an offer can test one guess
    /// against each proof, so they are limited as the host limits its guests' failures.
    public static let unconfirmedProofsAllowed = 5

    /// - Parameter permission: the code's permission according to the relay. If the relay lies, the proof fails.
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

    /// Answers the host's offer with a proof. This works only once, because a proof lets the other side test one guess.
    /// - Returns: nil for an offer that answers another hello, and for any offer after the first.
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

    /// Checks the host's confirmation. Nothing from the host is trusted before that.
    /// - Throws: ``EndToEndError/wrongSecret`` if the other side does not know the secret.
    public func receive(confirmation: [UInt8]) throws(EndToEndError) -> Pairing {
        guard let keys, keys.confirms(confirmation, byHost: true) else { throw .wrongSecret }
        return Pairing(keys, isHost: false, sessionId: sessionId)
    }
}

func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
}
