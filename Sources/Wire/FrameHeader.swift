// Binary frames: the hot path
//
// Every binary WebSocket message on `/relay` is one frame: a fixed header of 16 bytes, big-endian, then ciphertext.
//
//      0      1      2             4                           8                                       16
//      +------+------+-------------+---------------------------+---------------------------------------+----------
//      | ver. | kind |    slot     |           epoch           |               sequence                | payload …
//      |  u8  |  u8  |     u16     |            u32            |                  u64                  |
//      +------+------+-------------+---------------------------+---------------------------------------+----------
//
// version   1
// kind      see ``FrameKind``: who sends it, to whom, and what the relay does when the receiver is slow
// slot      the guest's number in the room (1 … 65535); 0 is the host. Host → one guest: the destination.
//           Guest → host: whatever the guest wrote, the relay puts the guest's own slot there.
//           Host → all: 0.
// epoch     which key sealed the payload: the broadcast epoch, or the pairwise generation
// sequence  the number of this frame under that key; it is the nonce's counter. For broadcasts it counts the room's
//           frames from 1, without a gap, through all epochs, and is what `resume` speaks of
// payload   AES-256-GCM ciphertext and 16-byte tag; the relay never looks at it. The associated data is in
//           docs/protocol.md

public import NIOCore

/// The purpose of a binary frame. It is all that the relay knows about the frame.
public enum FrameKind: UInt8, Sendable, CaseIterable {
    /// Host → every guest, the same bytes. Kept in the room's ring; dropped for a guest that is too slow.
    case broadcast = 1
    /// Host → one guest. Never dropped.
    case direct = 2
    /// Host → one guest: the state that the following broadcasts build on. Never dropped.
    case snapshot = 3
    /// Guest → host, with permission `control` only.
    case input = 4
    /// Guest → host, any permission: acknowledgements and requests, but no input.
    case feedback = 5

    public var isFromHost: Bool { self == .broadcast || self == .direct || self == .snapshot }
}

/// The number of a peer within its room.
public typealias Slot = UInt16

/// The fixed header of a binary frame. The layout is at the top of this file.
public struct FrameHeader: Sendable, Equatable {
    public static let version: UInt8 = 1
    /// Length on the wire, in bytes.
    public static let size = 16
    public static let hostSlot: Slot = 0

    public var kind: FrameKind
    public var slot: Slot
    public var epoch: UInt32
    public var sequence: UInt64

    public init(kind: FrameKind, slot: Slot, epoch: UInt32, sequence: UInt64) {
        self.kind = kind
        self.slot = slot
        self.epoch = epoch
        self.sequence = sequence
    }

    /// Reads the header at the reader index, without moving it.
    /// - Throws: ``MessageError`` if the bytes are no frame of this version.
    public init(peeking buffer: ByteBuffer) throws(MessageError) {
        try self.init(peeking: buffer, at: buffer.readerIndex)
    }

    /// Reads the header at an index of the readable bytes.
    /// - Throws: ``MessageError`` if the bytes are no frame of this version.
    public init(peeking buffer: ByteBuffer, at start: Int) throws(MessageError) {
        let offset = start - buffer.readerIndex
        guard offset >= 0, buffer.readableBytes - offset >= Self.size else {
            throw MessageError("a binary frame is at least \(Self.size) bytes long")
        }
        // NIO's closure cannot throw a typed error, so the checks run after it.
        let words = buffer.withUnsafeReadableBytes { Words($0, at: offset) }
        try self.init(words)
    }

    /// Reads the header at the start of a frame.
    /// - Throws: ``MessageError`` if the bytes are no frame of this version.
    public init(peeking frame: UnsafeRawBufferPointer) throws(MessageError) {
        guard frame.count >= Self.size else {
            throw MessageError("a binary frame is at least \(Self.size) bytes long")
        }
        try self.init(Words(frame, at: 0))
    }

    /// Reads the header in two loads instead of five, because this runs for every frame.
    private struct Words {
        let first: UInt64
        let sequence: UInt64

        init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
            first = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            sequence = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
        }
    }

    private init(_ words: Words) throws(MessageError) {
        let version = UInt8(truncatingIfNeeded: words.first >> 56)
        let rawKind = UInt8(truncatingIfNeeded: words.first >> 48)
        guard version == Self.version else { throw MessageError("frame version \(version) is not supported") }
        guard let kind = FrameKind(rawValue: rawKind) else { throw MessageError("frame kind \(rawKind) is unknown") }
        self.init(
            kind: kind, slot: Slot(truncatingIfNeeded: words.first >> 32),
            epoch: UInt32(truncatingIfNeeded: words.first),
            sequence: words.sequence)
    }

    /// Appends the header.
    public func write(into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(Self.version, kind.rawValue, slot, epoch, sequence)
    }

    /// Overwrites the slot of a frame that starts at the reader index.
    public static func setSlot(_ slot: Slot, of frame: inout ByteBuffer) {
        frame.setInteger(slot, at: frame.readerIndex + 2)
    }
}

/// A message violates the protocol. The text names the field and is safe to send back.
public struct MessageError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}
