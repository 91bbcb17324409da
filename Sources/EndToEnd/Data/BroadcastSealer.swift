import Crypto
import FoundationEssentials
public import NIOCore
import Wire

/// The hash over every broadcast frame in order, which the host signs.
struct RunningHash {
    private(set) var value: [UInt8]

    init(_ value: [UInt8] = Array(repeating: 0, count: 32)) { self.value = value }

    /// value' = SHA-256(value ‖ frame), the frame with its header as it is sealed (slot 0).
    mutating func add(_ frame: ByteBuffer) {
        var hash = SHA256()
        hash.update(data: value)
        frame.readableBytesView.withContiguousStorageIfAvailable {
            hash.update(bufferPointer: UnsafeRawBufferPointer($0))
        }
        value = Array(hash.finalize())
    }

    /// The bytes that the signature in frame `sequence` covers.
    func signedBytes(sessionId: String, epoch: UInt32, sequence: UInt64) -> [UInt8] {
        Array("postern.v1 stream".utf8) + [0] + Array(sessionId.utf8) + [0] + bigEndian(epoch) + bigEndian(sequence)
            + value
    }
}

/// The host's broadcast: seals each message once for all guests, and signs the stream so that no guest can forge it.
public struct BroadcastSealer: ~Copyable {
    /// A signature is added once this many bytes of frames are unsigned. Guests tolerate
    /// ``BroadcastOpener/unsignedLimit``.
    public static let signEveryBytes = 64 << 10

    private let sessionId: String
    private let signing: Curve25519.Signing.PrivateKey
    private var key: SealingKey
    private var hash = RunningHash()
    private var unsignedBytes = 0
    /// The current epoch; the first is 1.
    public private(set) var epoch: UInt32 = 1
    public private(set) var epochKey: [UInt8]

    public init(sessionId: String) {
        self.sessionId = sessionId
        signing = Curve25519.Signing.PrivateKey()
        let fresh = Self.freshKey()
        epochKey = fresh
        key = SealingKey(
            SymmetricKey(data: fresh), place: FramePlace(sessionId: sessionId, stream: .broadcast), epoch: 1,
            firstSequence: 1)
    }

    /// The key that verifies the stream. Guests get it over the confirmed channel.
    public var signingKey: [UInt8] { Array(signing.publicKey.rawRepresentation) }

    /// The number of the last frame; 0 before the first.
    public var lastSequence: UInt64 { key.nextSequence - 1 }

    public var runningHash: [UInt8] { hash.value }

    public var hasUnsigned: Bool { unsignedBytes > 0 }

    /// Seals one message, followed by a signature if too many bytes are unsigned.
    public mutating func seal(_ message: BroadcastMessage) -> [ByteBuffer] {
        let frame = append(message.bytes)
        return unsignedBytes >= Self.signEveryBytes ? [frame] + sign() : [frame]
    }

    /// Signs what is unsigned. Call this at the end of a burst of output, so that guests need not wait for it.
    public mutating func sign() -> [ByteBuffer] {
        guard unsignedBytes > 0 else { return [] }
        unsignedBytes = 0
        let text = hash.signedBytes(sessionId: sessionId, epoch: epoch, sequence: key.nextSequence)
        // Ed25519 signing can fail only because of a broken random source, after which the process must stop.
        guard let signature = try? signing.signature(for: text) else { preconditionFailure("cannot sign") }
        let frame = append([2] + Array(signature))
        unsignedBytes = 0
        return [frame]
    }

    /// Starts a new epoch with a new key, after a join or a leave. The numbering of frames continues.
    /// - Returns: the last signature of the old epoch.
    public mutating func startEpoch() -> [ByteBuffer] {
        let closing = sign()
        let fresh = Self.freshKey()
        epoch += 1
        epochKey = fresh
        key = SealingKey(
            SymmetricKey(data: fresh), place: FramePlace(sessionId: sessionId, stream: .broadcast), epoch: epoch,
            firstSequence: key.nextSequence)
        return closing
    }

    private mutating func append(_ plaintext: [UInt8]) -> ByteBuffer {
        let frame = key.seal(plaintext, kind: .broadcast)
        hash.add(frame)
        unsignedBytes += frame.readableBytes
        return frame
    }

    private static func freshKey() -> [UInt8] { SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) } }
}
