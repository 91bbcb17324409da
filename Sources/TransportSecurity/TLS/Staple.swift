import COpenSSL
import Synchronization

/// The issuer's response that a certificate is valid, as sent in handshakes (RFC 6066, section 8).
///
/// OpenSSL gets a number and not a pointer. A handshake that waits while the certificate is replaced lives longer than
/// the Swift object: it then finds nothing.
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

    /// Sets the response. Nil staples nothing.
    func set(_ bytes: [UInt8]?) { Self.living.withLock { $0.answers[number] = bytes } }

    static func bytes(of number: Int) -> [UInt8]? { living.withLock { $0.answers[number] } }
}

/// OpenSSL calls this if the client asked for a stapled response.
let stapleCallback: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { ssl, number in
    guard let bytes = Staple.bytes(of: Int(bitPattern: number)),
        postern_SSL_set_status(ssl, bytes, bytes.count) == 1
    else { return SSL_TLSEXT_ERR_NOACK }
    return SSL_TLSEXT_ERR_OK
}
