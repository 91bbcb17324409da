package import Crypto
import FoundationEssentials

/// CPace, a balanced password-authenticated key exchange, in the suite CPace-X25519-SHA512 (draft-irtf-cfrg-cpace-21).
///
/// A peer that does not know the secret learns only whether one guess was right, and cannot guess without the other
/// side noticing.
package enum CPace {
    private static let domain = Array("CPace255".utf8)
    /// The block size of SHA-512 in bytes. The secret is padded so that it alone fills the first block.
    private static let hashBlock = 128

    /// The point that both sides derive from the secret (section "calculate_generator").
    package static func generator(secret: [UInt8], channel: [UInt8], sessionId: [UInt8]) -> [UInt8] {
        let padding = max(0, hashBlock - withLength(secret).count - withLength(domain).count - 1)
        let text = concatenate([domain, secret, Array(repeating: 0, count: padding), channel, sessionId])
        return FieldElement.elligator2(Array(SHA512.hash(data: text).prefix(32)))
    }

    /// One side of an exchange: a secret scalar on the common generator.
    package struct Share: Sendable {
        private let scalar: Curve25519.KeyAgreement.PrivateKey
        /// Sent to the other side, 32 bytes.
        package let publicPoint: [UInt8]

        /// - Throws: ``EndToEndError/lowOrderPoint``, which in practice never happens for a generator from a hash.
        package init(generator: [UInt8], scalar: [UInt8]? = nil) throws(EndToEndError) {
            do {
                self.scalar = try scalar.map { try .init(rawRepresentation: $0) } ?? .init()
            } catch { throw .malformed }
            publicPoint = try CPace.multiply(self.scalar, generator)
        }

        /// The intermediate session key, 64 bytes.
        /// - Parameter isInitiator: whether this side's point was sent first.
        /// - Throws: ``EndToEndError/lowOrderPoint``: the other side's point must be refused.
        package func sessionKey(
            with peer: [UInt8], isInitiator: Bool, sessionId: [UInt8], ownData: [UInt8], peerData: [UInt8]
        ) throws(EndToEndError) -> [UInt8] {
            let shared = try CPace.multiply(scalar, peer)
            let own = concatenate([publicPoint, ownData])
            let theirs = concatenate([peer, peerData])
            let transcript = isInitiator ? own + theirs : theirs + own
            return Array(SHA512.hash(data: concatenate([domain + Array("_ISK".utf8), sessionId, shared]) + transcript))
        }
    }

    /// X25519 that rejects the all-zero result (section "scalar_mult_vfy").
    package static func multiply(
        _ scalar: Curve25519.KeyAgreement.PrivateKey, _ point: [UInt8]
    ) throws(EndToEndError) -> [UInt8] {
        guard point.count == 32 else { throw .malformed }
        do {
            let shared = try scalar.sharedSecretFromKeyAgreement(with: .init(rawRepresentation: point))
            let bytes = shared.withUnsafeBytes { Array($0) }
            guard bytes.contains(where: { $0 != 0 }) else { throw EndToEndError.lowOrderPoint }
            return bytes
        } catch {
            // The library itself rejects an all-zero result. Nothing else can fail with 32 bytes.
            throw .lowOrderPoint
        }
    }

    /// Each element is prefixed with its length, so that different lists never give the same bytes.
    package static func concatenate(_ elements: [[UInt8]]) -> [UInt8] { elements.flatMap(withLength) }

    /// The length in LEB128 (7 bits per byte, lowest first), then the bytes.
    private static func withLength(_ bytes: [UInt8]) -> [UInt8] {
        var length = bytes.count
        var prefix: [UInt8] = []
        repeat {
            let low = UInt8(length & 0x7F)
            length >>= 7
            prefix.append(length > 0 ? low | 0x80 : low)
        } while length > 0
        return prefix + bytes
    }
}
