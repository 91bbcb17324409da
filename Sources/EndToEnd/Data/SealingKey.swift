import Crypto
import FoundationEssentials
import NIOCore
import Wire

/// Which sequence of frames a key seals; the first four bytes of the nonce.
enum StreamId: UInt32, Sendable {
    case broadcast = 1
    case hostToGuest = 2
    case guestInput = 3
    case guestFeedback = 4
}

/// The position of a frame. It is the associated data, so that a frame cannot be moved to another position.
struct FramePlace {
    let sessionId: String
    let stream: StreamId

    /// version u8, session id (length u8 and text), epoch u32, stream u32, sequence u64, kind u8.
    func associatedData(_ header: FrameHeader) -> [UInt8] {
        let session = Array(sessionId.utf8)
        return [FrameHeader.version, UInt8(truncatingIfNeeded: session.count)] + session + bigEndian(header.epoch)
            + bigEndian(stream.rawValue) + bigEndian(header.sequence) + [header.kind.rawValue]
    }

    /// stream ‖ sequence.
    func nonce(_ sequence: UInt64) throws(EndToEndError) -> AES.GCM.Nonce {
        do { return try AES.GCM.Nonce(data: bigEndian(stream.rawValue) + bigEndian(sequence)) } catch {
            throw .malformed
        }
    }
}

/// A key with the only counter that is ever used with it. It cannot be copied, so no nonce can be used twice.
struct SealingKey: ~Copyable {
    private let key: SymmetricKey
    private let place: FramePlace
    private let epoch: UInt32
    private(set) var nextSequence: UInt64

    init(_ key: SymmetricKey, place: FramePlace, epoch: UInt32, firstSequence: UInt64 = 0) {
        self.key = key
        self.place = place
        self.epoch = epoch
        nextSequence = firstSequence
    }

    /// Seals one message into a frame: header, ciphertext, tag.
    mutating func seal(_ plaintext: [UInt8], kind: FrameKind, slot: Slot = 0) -> ByteBuffer {
        let header = FrameHeader(kind: kind, slot: slot, epoch: epoch, sequence: nextSequence)
        nextSequence += 1
        // Sealing fails only for a plaintext of 64 GiB or a nonce of the wrong size.
        guard let nonce = try? place.nonce(header.sequence),
            let box = try? AES.GCM.seal(
                plaintext, using: key, nonce: nonce, authenticating: place.associatedData(header))
        else { preconditionFailure("AES-GCM refused a message of \(plaintext.count) bytes") }
        var frame = ByteBufferAllocator().buffer(capacity: FrameHeader.size + plaintext.count + 16)
        header.write(into: &frame)
        frame.writeBytes(box.ciphertext)
        frame.writeBytes(box.tag)
        return frame
    }
}

/// The receiving side of a key.
struct OpeningKey {
    private let key: SymmetricKey
    private let place: FramePlace

    init(_ key: SymmetricKey, place: FramePlace) {
        self.key = key
        self.place = place
    }

    /// - Throws: ``EndToEndError`` `.truncated` or `.notAuthentic`. It does not detect replays, because the caller
    ///   knows the order.
    func open(_ frame: ByteBuffer, _ header: FrameHeader) throws(EndToEndError) -> [UInt8] {
        let tagSize = 16
        guard frame.readableBytes >= FrameHeader.size + tagSize else { throw .truncated }
        let body = frame.readableBytesView.dropFirst(FrameHeader.size)
        do {
            let box = try AES.GCM.SealedBox(
                nonce: place.nonce(header.sequence), ciphertext: Array(body.dropLast(tagSize)),
                tag: Array(body.suffix(tagSize)))
            return Array(try AES.GCM.open(box, using: key, authenticating: place.associatedData(header)))
        } catch { throw .notAuthentic }
    }
}
