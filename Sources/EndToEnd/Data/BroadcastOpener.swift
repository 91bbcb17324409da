import Crypto
import FoundationEssentials
public import NIOCore
import Wire

/// A guest's view of the host's broadcast: in order, without gaps, and returned only after the host has signed it.
public struct BroadcastOpener: Sendable {
    /// Maximum number of unsigned bytes, after which the stream fails: twice what an honest host leaves unsigned, plus
    /// one frame.
    static let unsignedLimit = 2 * BroadcastSealer.signEveryBytes + WireLimits.messageBytes
    /// Number of epoch keys that are kept. A guest that was away gets frames of a few epochs; older ones are replaced
    /// by a snapshot.
    static let epochsKept = 64

    private let sessionId: String
    private let verifying: Curve25519.Signing.PublicKey
    private var epochs: [UInt32: OpeningKey] = [:]
    private var hash = RunningHash()
    private var pending: [BroadcastMessage] = []
    private var pendingBytes = 0
    /// The last frame that was opened; nil before the first snapshot.
    public private(set) var lastSequence: UInt64?
    /// The last frame whose content was returned.
    public private(set) var lastVerified: UInt64 = 0

    /// - Throws: ``EndToEndError/malformed`` if the key is invalid.
    public init(sessionId: String, signingKey: [UInt8]) throws(EndToEndError) {
        self.sessionId = sessionId
        do { verifying = try .init(rawRepresentation: signingKey) } catch { throw .malformed }
    }

    /// Whether a key of this epoch can still arrive. Keys are sent in order, and each only once per generation.
    public func keyCanStillArrive(for epoch: UInt32) -> Bool { epochs.keys.max().map { epoch > $0 } ?? true }

    public mutating func addEpoch(_ epoch: UInt32, key: [UInt8]) {
        epochs[epoch] = OpeningKey(
            SymmetricKey(data: key), place: FramePlace(sessionId: sessionId, stream: .broadcast))
        if epochs.count > Self.epochsKept, let oldest = epochs.keys.min() { epochs[oldest] = nil }
    }

    /// Continues from a state that the host sent to this guest alone.
    public mutating func reset(to snapshot: DirectMessage.Snapshot) {
        hash = RunningHash(snapshot.runningHash)
        pending.removeAll()
        pendingBytes = 0
        lastSequence = snapshot.sequence
        lastVerified = snapshot.sequence
    }

    /// Opens the next frame.
    /// - Returns: everything that is now covered by the host's signature, in order; often nothing yet.
    /// - Throws: ``EndToEndError``: after `.gap` ask for a snapshot, after `.unknownEpoch` wait, and ignore
    ///   `.replayed`. Any other error means that somebody tampered with the frame.
    public mutating func open(_ frame: ByteBuffer) throws(EndToEndError) -> [BroadcastMessage] {
        let header: FrameHeader
        do { header = try FrameHeader(peeking: frame) } catch { throw .truncated }
        guard header.kind == .broadcast else { throw .wrongDirection }
        guard let last = lastSequence else { throw .gap }
        if header.sequence <= last { throw .replayed }
        guard header.sequence == last + 1 else { throw .gap }
        guard let key = epochs[header.epoch] else { throw .unknownEpoch(header.epoch) }
        let plaintext = try key.open(frame, header)
        var reader = ByteReader(plaintext)
        let type = try reader.byte()
        if type == 2 {
            let signed = hash.signedBytes(sessionId: sessionId, epoch: header.epoch, sequence: header.sequence)
            guard verifying.isValidSignature(try reader.take(64), for: signed) else { throw .forged }
        } else {
            pending.append(try Self.message(type, &reader))
            pendingBytes += plaintext.count
            guard pendingBytes <= Self.unsignedLimit else { throw .unsigned }
        }
        hash.add(frame)
        lastSequence = header.sequence
        if type != 2 { return [] }
        let verified = pending
        pending.removeAll()
        pendingBytes = 0
        lastVerified = header.sequence
        return verified
    }

    private static func message(_ type: UInt8, _ reader: inout ByteReader) throws(EndToEndError) -> BroadcastMessage {
        switch type {
        case 0: .output(reader.rest())
        case 1: .size(rows: try reader.uint16(), columns: try reader.uint16())
        case 3: .exited(status: try reader.uint32())
        case 4: .skipped
        case 5: .stopped
        default: throw .malformed
        }
    }
}
