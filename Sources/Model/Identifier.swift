/// Text keys that sort by creation time: UUID version 7 (RFC 9562, section 5.7).
public enum Identifier {
    /// - Parameter now: becomes the first 48 bits.
    public static func make(now: Timestamp = .now()) -> String {
        var generator = SystemRandomNumberGenerator()
        let time = UInt64(bitPattern: now.milliseconds) & 0xFFFF_FFFF_FFFF
        let high = time << 16 | 0x7000 | UInt64.random(in: 0...0xFFF, using: &generator)
        let low = 0x8000_0000_0000_0000 | (UInt64.random(in: .min ... .max, using: &generator) >> 2)
        let digits = Array(hex(high) + hex(low))
        let groups = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32]
        return groups.map { String(decoding: digits[$0], as: UTF8.self) }.joined(separator: "-")
    }

    private static func hex(_ value: UInt64) -> [UInt8] {
        let alphabet = Array("0123456789abcdef".utf8)
        return (0..<16).map { alphabet[Int(truncatingIfNeeded: value >> (60 - 4 * UInt64($0))) & 15] }
    }
}
