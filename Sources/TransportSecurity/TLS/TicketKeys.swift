import COpenSSL
import Synchronization

/// The keys that encrypt session tickets (RFC 5077). A new key is created every hour. A stolen key opens no older or
/// newer connections.
///
/// There is one set per process: a ticket must work with every certificate, not only the one its connection used. The
/// keys are never stored, so a restart costs each client one full handshake.
final class TicketKeys: Sendable {
    static let shared = TicketKeys()

    /// How long a key encrypts new tickets, in seconds.
    private static let sealingSeconds = 3600
    /// The number of older keys that still open tickets: two hours, the lifetime OpenSSL gives a ticket.
    private static let olderKeys = 2

    struct Key: Sendable {
        var name = TicketKeys.random(16)
        var cipher = TicketKeys.random(32)
        var authentication = TicketKeys.random(32)
        let madeAt: Int
    }

    private let keys = Mutex<[Key]>([])

    /// - Parameter now: monotonic time, in seconds.
    func sealing(now: Int) -> Key {
        keys.withLock { keys in
            if let newest = keys.first, now - newest.madeAt < Self.sealingSeconds { return newest }
            let made = Key(madeAt: now)
            keys = [made] + keys.filter { now - $0.madeAt < Self.sealingSeconds * (Self.olderKeys + 1) }
            return made
        }
    }

    /// - Returns: the key with that name, and whether it is still the newest.
    func opening(name: [UInt8], now: Int) -> (key: Key, isNewest: Bool)? {
        keys.withLock { keys in
            guard let index = keys.firstIndex(where: { $0.name == name }),
                now - keys[index].madeAt < Self.sealingSeconds * (Self.olderKeys + 1)
            else { return nil }
            return (keys[index], index == 0 && now - keys[0].madeAt < Self.sealingSeconds)
        }
    }

    private static func random(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        // This fails only if the system has no randomness. Then no key is better than a bad one.
        precondition(RAND_bytes(&bytes, CInt(count)) == 1, "no randomness")
        return bytes
    }
}

/// OpenSSL asks for a key to encrypt (`encrypting` 1) or open (0) a ticket. Returns 1 for yes, 2 for yes and create a
/// new ticket, 0 for none, -1 for a failure.
let ticketKeyCallback:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<UInt8>?, OpaquePointer?, OpaquePointer?, CInt
    ) -> CInt = { _, name, iv, cipher, mac, encrypting in
        guard let name, let iv else { return -1 }
        let now = Int(ContinuousClock.now.secondsSinceStart)
        if encrypting == 1 {
            var key = TicketKeys.shared.sealing(now: now)
            name.update(from: key.name, count: 16)
            guard RAND_bytes(iv, 16) == 1,
                EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, iv) == 1,
                postern_EVP_MAC_init_sha256(mac, &key.authentication, 32) == 1
            else { return -1 }
            return 1
        }
        let wanted = Array(UnsafeBufferPointer(start: name, count: 16))
        guard var (key, isNewest) = TicketKeys.shared.opening(name: wanted, now: now) else { return 0 }
        guard postern_EVP_MAC_init_sha256(mac, &key.authentication, 32) == 1,
            EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nil, key.cipher, iv) == 1
        else { return -1 }
        return isNewest ? 1 : 2
    }

extension ContinuousClock.Instant {
    private static let start = ContinuousClock.now
    fileprivate var secondsSinceStart: Int64 { (self - Self.start).components.seconds }
}
