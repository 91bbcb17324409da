import Crypto
public import Model

/// Time-based one-time passwords (RFC 6238), as authenticator apps make them: SHA-1, 30 seconds, six digits.
public enum TOTP {
    /// In seconds.
    public static let period: Int64 = 30
    /// RFC 4226, section 4: at least 128 bits, 160 recommended. In bytes.
    public static let seedBytes = 20
    /// Steps before and after the current one that are taken too: clocks differ.
    static let drift: Int64 = 1

    public static func step(at time: Timestamp) -> Int64 { time.milliseconds / 1000 / period }

    /// RFC 4226, section 5.3.
    public static func code(seed: [UInt8], step: Int64, digits: Int = 6) -> String {
        let counter = withUnsafeBytes(of: UInt64(step).bigEndian, Array.init)
        let mac = Array(HMAC<Insecure.SHA1>.authenticationCode(for: counter, using: SymmetricKey(data: seed)))
        let offset = Int(mac[mac.count - 1] & 15)
        let word = mac[offset..<offset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7FFF_FFFF
        let modulus = (0..<digits).reduce(UInt32(1)) { product, _ in product &* 10 }
        let text = String(word % modulus)
        return String(repeating: "0", count: digits - text.count) + text
    }

    /// The step a code belongs to, if it is near now and after the last one that was taken.
    static func step(of code: String, seed: [UInt8], now: Timestamp, after last: Int64) -> Int64? {
        let current = step(at: now)
        // All are computed, whichever fits: how long it takes says nothing.
        let fitting = (current - drift...current + drift).filter { equal(Self.code(seed: seed, step: $0), code) }
        return fitting.first { $0 > last }
    }

    private static func equal(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        return left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

/// RFC 4648, section 6, without padding: how authenticator apps take a seed.
public enum Base32 {
    public static func text(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        var out: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 5 {
                out.append(alphabet[Int(bits >> UInt32(count - 5)) & 31])
                count -= 5
            }
        }
        if count > 0 { out.append(alphabet[Int(bits << UInt32(5 - count)) & 31]) }
        return String(decoding: out, as: UTF8.self)
    }
}
