/// Text in a query or a form (RFC 3986, section 2.1).
public enum PercentEncoding {
    private static let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)

    /// Encodes all but the unreserved characters (section 2.3).
    /// - Parameter kept: further characters that are not encoded, such as `/` in a query.
    public static func encoded(_ text: String, keeping kept: String = "") -> String {
        var out = ""
        for byte in text.utf8 {
            if unreserved.contains(byte) || kept.utf8.contains(byte) {
                out.append(Character(UnicodeScalar(byte)))
            } else {
                let hex = String(byte, radix: 16, uppercase: true)
                out += "%" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return out
    }

    /// - Returns: nil if a percent sign is not followed by two digits, or if the bytes are not UTF-8.
    public static func decoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.map { UInt8($0) }
    }
}
