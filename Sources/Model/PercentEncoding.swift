/// Text in a query or a form (RFC 3986, section 2.1).
public enum PercentEncoding {
    private static let unreserved = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)

    /// Encodes all but the unreserved characters (section 2.3).
    /// - Parameter kept: further ones that are to stay, as `/` may in a query.
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
}
