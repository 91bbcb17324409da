import Crypto
import FoundationEssentials
import Model
import Wire

/// The values that both sides of a handshake compute from its messages. The sides differ only in which point is their
/// own.
struct HandshakeTranscript {
    let sessionId: String
    let permission: Permission
    let secret: ShareSecret
    let hello: HandshakeMessage
    let hostNonce: [UInt8]
    let guestNonce: [UInt8]

    /// Random bytes of both sides, so that neither chooses it alone.
    var cpaceSessionId: [UInt8] { Array(SHA512.hash(data: guestNonce + hostNonce).prefix(16)) }

    /// CPace's channel identifier: protocol, session, permission and kind of secret. The same words give another
    /// generator for another session, role or version.
    var channel: [UInt8] {
        CPace.concatenate([
            Array(relaySubprotocol.utf8), Array(sessionId.utf8), Array(permission.rawValue.utf8), [secret.kind],
        ])
    }

    var generator: [UInt8] {
        CPace.generator(secret: Array(secret.text.utf8), channel: channel, sessionId: cpaceSessionId)
    }

    /// The host sends its point first and is CPace's initiator. The host has no associated data; the guest's is its
    /// hello.
    func keys(own: CPace.Share, peer: [UInt8], isHost: Bool) throws(EndToEndError) -> PairingKeys {
        let guestData = hello.bytes
        let key = try own.sessionKey(
            with: peer, isInitiator: isHost, sessionId: cpaceSessionId, ownData: isHost ? [] : guestData,
            peerData: isHost ? guestData : [])
        let (hostPoint, guestPoint) = isHost ? (own.publicPoint, peer) : (peer, own.publicPoint)
        let transcript = Array(SHA256.hash(data: CPace.concatenate([hello.bytes, hostNonce, hostPoint, guestPoint])))
        return PairingKeys(sessionKey: key, transcript: transcript, permission: permission)
    }
}

/// All keys that are derived from one successful exchange (HKDF-SHA256, RFC 5869).
struct PairingKeys {
    let permission: Permission
    private let root: SymmetricKey
    private let transcript: [UInt8]

    init(sessionKey: [UInt8], transcript: [UInt8], permission: Permission) {
        root = SymmetricKey(data: sessionKey)
        self.transcript = transcript
        self.permission = permission
    }

    func derive(_ label: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: root, salt: transcript, info: Array("postern.v1 \(label)".utf8), outputByteCount: 32)
    }

    /// Proves that a side has the same keys, over the whole transcript.
    func confirmation(byHost: Bool) -> [UInt8] {
        Array(
            HMAC<SHA256>.authenticationCode(for: transcript, using: derive(byHost ? "confirm host" : "confirm guest")))
    }

    func confirms(_ tag: [UInt8], byHost: Bool) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(
            tag, authenticating: transcript, using: derive(byHost ? "confirm host" : "confirm guest"))
    }
}
