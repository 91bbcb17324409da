import COpenSSL
import Synchronization

/// The issuer's word that a certificate stands, as handshakes hand it on (RFC 6066, section 8).
///
/// OpenSSL is given a number and not a pointer: a handshake that waits while the certificate is swapped outlives the Swift
/// object, and then simply finds nothing.
final class Staple: Sendable {
    private static let living = Mutex<(next: Int, answers: [Int: [UInt8]])>((1, [:]))

    let number: Int

    init() {
        number = Self.living.withLock { living in
            defer { living.next += 1 }
            return living.next
        }
    }

    deinit { set(nil) }

    /// Nil staples nothing.
    func set(_ bytes: [UInt8]?) { Self.living.withLock { $0.answers[number] = bytes } }

    static func bytes(of number: Int) -> [UInt8]? { living.withLock { $0.answers[number] } }
}

/// OpenSSL asks for it where the client did.
let stapleCallback: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { ssl, number in
    guard let bytes = Staple.bytes(of: Int(bitPattern: number)),
        postern_SSL_set_status(ssl, bytes, bytes.count) == 1
    else { return SSL_TLSEXT_ERR_NOACK }
    return SSL_TLSEXT_ERR_OK
}
