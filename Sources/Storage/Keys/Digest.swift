import Crypto

/// Digests of secrets that are random enough to need no slow hash.
enum Digest {
    static func of(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}
