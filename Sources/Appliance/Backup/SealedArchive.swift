import COpenSSL
import Crypto
import Glibc
import Model

/// Several small files in one, encrypted with a passphrase: the format of `backup --with-keys`.
///
/// Layout: `PSTNBAK1`, a salt of 16 bytes, then the AES-256-GCM box (nonce 12, ciphertext, tag 16) of the concatenated
/// files: length of the name (2 bytes, big-endian), name, length of the contents (8), contents. The key is derived with
/// scrypt (RFC 7914; N 2^17, r 8, p 1: about half a second and 128 MiB for each guess) from passphrase and salt. The
/// first 24 bytes are authenticated as well.
enum SealedArchive {
    static let magic = Array("PSTNBAK1".utf8)
    private static let saltBytes = 16
    private static let cost: UInt64 = 1 << 17
    /// The minimum length in characters: a passphrase that can be guessed does not protect.
    static let shortestPassphrase = 12
    /// The maximum size of the archive, in bytes: it is written and read in memory.
    static let limit = 4 << 30

    static func seal(_ files: [(name: String, contents: [UInt8])], passphrase: String) throws -> [UInt8] {
        var plain: [UInt8] = []
        for file in files {
            let name = Array(file.name.utf8)
            plain +=
                big(UInt64(name.count), bytes: 2) + name + big(UInt64(file.contents.count), bytes: 8) + file.contents
        }
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let head = magic + salt
        let box = try AES.GCM.seal(plain, using: key(passphrase, salt), authenticating: head)
        // A box with a 12-byte nonce always has a combined form.
        guard let combined = box.combined else { throw CommandFailure("the archive cannot be sealed") }
        return head + combined
    }

    static func open(_ archive: [UInt8], passphrase: String) throws -> [(name: String, contents: [UInt8])] {
        let headBytes = magic.count + saltBytes
        guard archive.count > headBytes, archive.starts(with: magic) else {
            throw CommandFailure("this is not a sealed backup")
        }
        let head = Array(archive[..<headBytes])
        let plain: [UInt8]
        do {
            let box = try AES.GCM.SealedBox(combined: archive[headBytes...])
            plain = Array(
                try AES.GCM.open(box, using: key(passphrase, Array(head[magic.count...])), authenticating: head))
        } catch is CryptoKitError {
            throw CommandFailure("the passphrase is wrong, or the file is damaged")
        }
        return try files(plain[...])
    }

    private static func files(_ plain: ArraySlice<UInt8>) throws -> [(name: String, contents: [UInt8])] {
        var rest = plain
        func take(_ count: Int) throws -> ArraySlice<UInt8> {
            guard count >= 0, rest.count >= count else { throw CommandFailure("the backup is truncated") }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func number(_ bytes: Int) throws -> Int {
            Int(clamping: try take(bytes).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        }
        var found: [(String, [UInt8])] = []
        while !rest.isEmpty {
            let name = String(decoding: try take(number(2)), as: UTF8.self)
            found.append((name, Array(try take(number(8)))))
        }
        return found
    }

    private static func big(_ number: UInt64, bytes: Int) -> [UInt8] {
        (0..<bytes).reversed().map { UInt8(truncatingIfNeeded: number >> (8 * UInt64($0))) }
    }

    private static func key(_ passphrase: String, _ salt: [UInt8]) throws -> SymmetricKey {
        var key = [UInt8](repeating: 0, count: 32)
        let text = Array(passphrase.utf8CString)
        guard postern_scrypt(text, text.count - 1, salt, salt.count, cost, 8, 1, &key, key.count) == 1 else {
            throw CommandFailure("the key cannot be derived; there may not be enough memory (128 MiB needed)")
        }
        return SymmetricKey(data: key)
    }
}
