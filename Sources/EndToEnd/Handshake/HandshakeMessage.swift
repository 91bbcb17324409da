// The handshake's messages, which are sent base64-coded in `keyExchange.payload`. The first byte identifies the
// message.
//
//   1 hello   guest → host   version u8, secret kind u8 (0 words, 1 link), nonce 16, share code 12 (ASCII)
//   2 offer   host → guest   nonce 16, point 32, the nonce of the hello it answers 16
//   3 proof   guest → host   point 32, confirmation 32
//   4 accept  host → guest   confirmation 32
//   5 reject  host → guest   reason u8
//   6 rekey   guest → host   ephemeral key 32, tag 32
//   7 rekeyed host → guest   generation u32, ephemeral key 32, tag 32

import FoundationEssentials
public import Wire

public enum HandshakeMessage: Sendable, Equatable {
    public enum Rejection: UInt8, Sendable {
        case wrongSecret = 1
        /// Five failed proofs have killed the code.
        case codeDead = 2
        case notApproved = 3
        case wrongVersion = 4
        case unknownCode = 5
        /// The answer to a rekey: the host has no pairing with this guest (any more). The guest may start again with a
        /// hello.
        case notPaired = 6
        /// Some of the guest's frames were removed on their way. The guest is removed, and no more of its input is
        /// typed.
        case tampered = 7
    }

    case hello(secretKind: UInt8, nonce: [UInt8], code: ShareCodeId)
    case offer(nonce: [UInt8], point: [UInt8], guestNonce: [UInt8])
    case proof(point: [UInt8], confirmation: [UInt8])
    case accept(confirmation: [UInt8])
    case reject(Rejection)
    case rekey(key: [UInt8], tag: [UInt8])
    case rekeyed(generation: UInt32, key: [UInt8], tag: [UInt8])

    /// 2 since 0.3.1: pairwise frames are consecutive, input is acknowledged, and only a message signed by the host
    /// ends a stream.
    static let version: UInt8 = 2

    public var bytes: [UInt8] {
        switch self {
        case .hello(let kind, let nonce, let code): [1, Self.version, kind] + nonce + Array(code.description.utf8)
        case .offer(let nonce, let point, let guestNonce): [2] + nonce + point + guestNonce
        case .proof(let point, let confirmation): [3] + point + confirmation
        case .accept(let confirmation): [4] + confirmation
        case .reject(let reason): [5, reason.rawValue]
        case .rekey(let key, let tag): [6] + key + tag
        case .rekeyed(let generation, let key, let tag): [7] + bigEndian(generation) + key + tag
        }
    }

    /// - Throws: ``EndToEndError`` `.truncated`, `.malformed` or `.wrongVersion`.
    public init(bytes: [UInt8]) throws(EndToEndError) {
        var reader = ByteReader(bytes)
        switch try reader.byte() {
        case 1:
            guard try reader.byte() == Self.version else { throw .wrongVersion }
            let kind = try reader.byte()
            let nonce = try reader.take(16)
            guard let code = ShareCodeId(String(decoding: try reader.take(12), as: UTF8.self)) else { throw .malformed }
            self = .hello(secretKind: kind, nonce: nonce, code: code)
        case 2: self = .offer(nonce: try reader.take(16), point: try reader.take(32), guestNonce: try reader.take(16))
        case 3: self = .proof(point: try reader.take(32), confirmation: try reader.take(32))
        case 4: self = .accept(confirmation: try reader.take(32))
        case 5:
            guard let reason = Rejection(rawValue: try reader.byte()) else { throw .malformed }
            self = .reject(reason)
        case 6: self = .rekey(key: try reader.take(32), tag: try reader.take(32))
        case 7: self = .rekeyed(generation: try reader.uint32(), key: try reader.take(32), tag: try reader.take(32))
        default: throw .malformed
        }
        guard reader.isAtEnd else { throw .malformed }
    }

    /// The message as the value of `keyExchange.payload`.
    public var payload: String { Data(bytes).base64EncodedString() }

    /// - Throws: ``EndToEndError``.
    public init(payload: String) throws(EndToEndError) {
        guard let data = Data(base64Encoded: payload) else { throw .malformed }
        try self.init(bytes: Array(data))
    }
}

func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

/// Reads fixed-width fields from untrusted bytes.
struct ByteReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ count: Int) throws(EndToEndError) -> [UInt8] {
        guard bytes.count - position >= count else { throw .truncated }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    mutating func rest() -> [UInt8] {
        defer { position = bytes.count }
        return Array(bytes[position...])
    }

    mutating func byte() throws(EndToEndError) -> UInt8 { try take(1)[0] }

    mutating func uint16() throws(EndToEndError) -> UInt16 { try take(2).reduce(0) { $0 << 8 | UInt16($1) } }

    mutating func uint32() throws(EndToEndError) -> UInt32 { try take(4).reduce(0) { $0 << 8 | UInt32($1) } }

    mutating func uint64() throws(EndToEndError) -> UInt64 { try take(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
