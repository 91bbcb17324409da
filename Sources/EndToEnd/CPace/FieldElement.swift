/// An element of the field of integers modulo 2^255 − 19, in five limbs of 51 bits.
///
/// Supports only what the Elligator 2 map needs. No branch and no index depends on a value, so the timing reveals
/// nothing about the secret that it was made from.
struct FieldElement {
    private static let mask: UInt64 = (1 << 51) - 1

    private var limbs: (UInt64, UInt64, UInt64, UInt64, UInt64)

    private init(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64, _ e: UInt64) { limbs = (a, b, c, d, e) }

    init(_ small: UInt64) { self.init(small, 0, 0, 0, 0) }

    /// Little-endian, the top bit ignored (RFC 7748, section 5).
    init(bytes: [UInt8]) {
        precondition(bytes.count == 32)
        func load(_ index: Int) -> UInt64 { (0..<8).reduce(0) { $0 | UInt64(bytes[index + $1]) << (8 * UInt64($1)) } }
        self.init(
            load(0) & Self.mask, load(6) >> 3 & Self.mask, load(12) >> 6 & Self.mask, load(19) >> 1 & Self.mask,
            load(24) >> 12 & Self.mask)
    }

    /// The one canonical encoding, little-endian.
    var bytes: [UInt8] {
        var value = carried().carried()
        // Adding 19 carries out of bit 255 exactly when value ≥ p; subtract p then by adding 19 and dropping that bit.
        var over = (value.limbs.0 + 19) >> 51
        over = (value.limbs.1 + over) >> 51
        over = (value.limbs.2 + over) >> 51
        over = (value.limbs.3 + over) >> 51
        over = (value.limbs.4 + over) >> 51
        value.limbs.0 += 19 * over
        var carry = value.limbs.0 >> 51
        value.limbs.0 &= Self.mask
        value.limbs.1 += carry; carry = value.limbs.1 >> 51; value.limbs.1 &= Self.mask
        value.limbs.2 += carry; carry = value.limbs.2 >> 51; value.limbs.2 &= Self.mask
        value.limbs.3 += carry; carry = value.limbs.3 >> 51; value.limbs.3 &= Self.mask
        value.limbs.4 = (value.limbs.4 + carry) & Self.mask
        let words = [
            value.limbs.0 | value.limbs.1 << 51, value.limbs.1 >> 13 | value.limbs.2 << 38,
            value.limbs.2 >> 26 | value.limbs.3 << 25, value.limbs.3 >> 39 | value.limbs.4 << 12,
        ]
        return words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) } }
    }

    static func + (a: FieldElement, b: FieldElement) -> FieldElement {
        FieldElement(
            a.limbs.0 + b.limbs.0, a.limbs.1 + b.limbs.1, a.limbs.2 + b.limbs.2, a.limbs.3 + b.limbs.3,
            a.limbs.4 + b.limbs.4
        ).carried()
    }

    static func - (a: FieldElement, b: FieldElement) -> FieldElement {
        // Adds 8p first, so that no limb becomes negative.
        let low: UInt64 = ((1 << 51) - 19) * 8
        let rest: UInt64 = ((1 << 51) - 1) * 8
        return FieldElement(
            a.limbs.0 + low - b.limbs.0, a.limbs.1 + rest - b.limbs.1, a.limbs.2 + rest - b.limbs.2,
            a.limbs.3 + rest - b.limbs.3, a.limbs.4 + rest - b.limbs.4
        ).carried()
    }

    static prefix func - (a: FieldElement) -> FieldElement { FieldElement(0) - a }

    static func * (a: FieldElement, b: FieldElement) -> FieldElement {
        func product(_ x: UInt64, _ y: UInt64) -> UInt128 { UInt128(x) * UInt128(y) }
        let (a0, a1, a2, a3, a4) = a.limbs
        let (b0, b1, b2, b3, b4) = b.limbs
        // Limbs above bit 255 are added at the bottom, times 19.
        let (c1, c2, c3, c4) = (b1 * 19, b2 * 19, b3 * 19, b4 * 19)
        var r0 = product(a0, b0) + product(a1, c4) + product(a2, c3) + product(a3, c2) + product(a4, c1)
        var r1 = product(a0, b1) + product(a1, b0) + product(a2, c4) + product(a3, c3) + product(a4, c2)
        var r2 = product(a0, b2) + product(a1, b1) + product(a2, b0) + product(a3, c4) + product(a4, c3)
        var r3 = product(a0, b3) + product(a1, b2) + product(a2, b1) + product(a3, b0) + product(a4, c4)
        var r4 = product(a0, b4) + product(a1, b3) + product(a2, b2) + product(a3, b1) + product(a4, b0)
        let mask = UInt128(Self.mask)
        r1 += r0 >> 51; r0 &= mask
        r2 += r1 >> 51; r1 &= mask
        r3 += r2 >> 51; r2 &= mask
        r4 += r3 >> 51; r3 &= mask
        r0 += (r4 >> 51) * 19; r4 &= mask
        r1 += r0 >> 51; r0 &= mask
        return FieldElement(UInt64(r0), UInt64(r1), UInt64(r2), UInt64(r3), UInt64(r4))
    }

    var squared: FieldElement { self * self }

    /// 1 ÷ self; 0 for 0 (Fermat: self^(p−2)).
    var inverse: FieldElement { power(exponent(lowByte: 0xEB, highByte: 0x7F)) }

    /// 1 for a square, −1 for a non-square, 0 for 0 (Euler: self^((p−1)/2)).
    var quadraticCharacter: FieldElement { power(exponent(lowByte: 0xF6, highByte: 0x3F)) }

    /// The Elligator 2 map onto Curve25519 (RFC 9380, section 6.7.1, with Z = 2), u-coordinate only. The browser's
    /// guest calls it as well, because WebCrypto has no such map.
    static func elligator2(_ bytes: [UInt8]) -> [UInt8] {
        let r = FieldElement(bytes: bytes)
        let a = FieldElement(486_662)
        let v = -a * (FieldElement(1) + FieldElement(2) * r.squared).inverse
        // v³ + a·v² + v is a square exactly if v is on the curve; otherwise −v − a is.
        let e = ((v.squared * v) + a * v.squared + v).quadraticCharacter
        let half = FieldElement(2).inverse
        return (e * v - (FieldElement(1) - e) * a * half).bytes
    }

    /// p−2 and (p−1)/2 differ from 2^n − 1 only in their lowest and highest byte. Little-endian.
    private func exponent(lowByte: UInt8, highByte: UInt8) -> [UInt8] {
        [lowByte] + Array(repeating: 0xFF, count: 30) + [highByte]
    }

    /// The exponent is public, so that a branch on its bits tells nothing.
    private func power(_ exponent: [UInt8]) -> FieldElement {
        var result = FieldElement(1)
        for byte in exponent.reversed() {
            for bit in (0..<8).reversed() {
                result = result.squared
                if byte >> UInt8(bit) & 1 == 1 { result = result * self }
            }
        }
        return result
    }

    private func carried() -> FieldElement {
        var r = limbs
        r.1 += r.0 >> 51; r.0 &= Self.mask
        r.2 += r.1 >> 51; r.1 &= Self.mask
        r.3 += r.2 >> 51; r.2 &= Self.mask
        r.4 += r.3 >> 51; r.3 &= Self.mask
        r.0 += (r.4 >> 51) * 19; r.4 &= Self.mask
        return FieldElement(r.0, r.1, r.2, r.3, r.4)
    }
}
