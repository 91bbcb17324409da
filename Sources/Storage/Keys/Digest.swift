import Crypto

/// How secrets that are random enough to need no slow hash are kept.
enum Digest {
    static func of(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}
