import COpenSSL
import Model

/// A password's hash with scrypt (RFC 7914), in the PHC string format: `$scrypt$ln=15,r=8,p=3$salt$hash`.
///
/// The parameters are stored with the hash, so that they can be increased later.
struct PasswordHash: Equatable {
    /// Binary logarithm of the cost N. 2^15 blocks of 1 KiB are 32 MiB, regardless of ``passes``.
    let logN: Int
    let passes: Int
    let salt: [UInt8]
    let hash: [UInt8]

    /// scrypt's r. With 8, a block is 1 KiB.
    private static let blockSize: UInt32 = 8
    static let saltBytes = 16
    private static let hashBytes = 32
    /// The limits of a stored hash: at most 128 MiB and 16 passes.
    private static let logarithms = 10...17
    private static let passRange = 1...16

    /// Takes about 100 ms and 2^logN KiB.
    /// - Throws: ``IdentityError`` if there is not enough memory.
    static func make(_ password: String, logN: Int, passes: Int) throws -> PasswordHash {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let hash = try derive(password, salt, logN, passes)
        return PasswordHash(logN: logN, passes: passes, salt: salt, hash: hash)
    }

    /// For accounts that do not exist: the check takes as long as for existing ones, and no password matches.
    static func decoy(logN: Int, passes: Int) -> PasswordHash {
        let zeros = [UInt8](repeating: 0, count: saltBytes)
        return PasswordHash(
            logN: logN, passes: passes, salt: zeros, hash: [UInt8](repeating: 0, count: hashBytes))
    }

    func matches(_ password: String) throws -> Bool {
        let other = try Self.derive(password, salt, logN, passes)
        return other.count == hash.count && postern_equal(other, hash, hash.count) == 1
    }

    static func derive(_ password: String, _ salt: [UInt8], _ logN: Int, _ passes: Int) throws -> [UInt8] {
        var out = [UInt8](repeating: 0, count: hashBytes)
        let text = Array(password.utf8CString)
        let done = postern_scrypt(
            text, text.count - 1, salt, salt.count, 1 << UInt64(logN), blockSize, UInt32(passes), &out, out.count)
        guard done == 1 else {
            throw IdentityError(.unavailable, "cannot hash a password: is there enough memory?")
        }
        return out
    }

    // MARK: Text

    private init(logN: Int, passes: Int, salt: [UInt8], hash: [UInt8]) {
        self.logN = logN
        self.passes = passes
        self.salt = salt
        self.hash = hash
    }

    var text: String {
        "$scrypt$ln=\(logN),r=\(Self.blockSize),p=\(passes)$\(Base64.text(salt))$\(Base64.text(hash))"
    }

    init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        var numbers: [Substring: Int] = [:]
        for pair in parts[2].split(separator: ",") {
            let sides = pair.split(separator: "=")
            if sides.count == 2 { numbers[sides[0]] = Int(sides[1]) }
        }
        guard let logN = numbers["ln"], let passes = numbers["p"], numbers["r"] == Int(Self.blockSize),
            Self.logarithms.contains(logN), Self.passRange.contains(passes),
            let salt = Base64.bytes(String(parts[3])), let hash = Base64.bytes(String(parts[4])),
            salt.count >= 8, hash.count == Self.hashBytes
        else { return nil }
        self.init(logN: logN, passes: passes, salt: salt, hash: hash)
    }
}
