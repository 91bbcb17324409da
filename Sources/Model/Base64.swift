/// Base64 without padding (RFC 4648, section 4), and base64url (section 5).
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    public static func text(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0...group.count { out.append(alphabet[Int(word >> UInt32(18 - 6 * index)) & 63]) }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Base64url, for tokens and addresses.
    public static func url(_ bytes: some Sequence<UInt8>) -> String {
        String(text(bytes).map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    /// - Parameter text: base64url.
    /// - Returns: nil for other characters.
    public static func urlBytes(_ text: String) -> [UInt8]? {
        if text.utf8.contains(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "/") }) { return nil }
        return bytes(String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }))
    }

    /// - Returns: nil for other characters, padding among them.
    public static func bytes(_ text: String) -> [UInt8]? {
        var out: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in text.utf8 {
            guard let value = alphabet.firstIndex(of: byte) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                out.append(UInt8(truncatingIfNeeded: bits >> UInt32(count - 8)))
                count -= 8
            }
        }
        return out
    }
}
