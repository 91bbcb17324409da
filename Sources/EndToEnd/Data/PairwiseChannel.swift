import Crypto
public import NIOCore
public import Wire

/// The keys between the host and one guest for one connection: a generation. Each direction and purpose has its own key.
public final class PairwiseChannel {
    /// Counts rekeys. It is the `epoch` in the header.
    public let generation: UInt32
    private let isHost: Bool
    private var hostToGuest: SealingKey
    private var feedback: SealingKey
    private var input: SealingKey?
    private let hostToGuestOpening: OpeningKey
    private let feedbackOpening: OpeningKey
    private let inputOpening: OpeningKey?
    /// The next number of each stream. All frames of a generation come over one connection, so a missing frame was
    /// removed on its way.
    private var nextFromHost: UInt64 = 0
    private var nextFeedback: UInt64 = 0
    private var nextInput: UInt64 = 0

    init(
        hostToGuest: SymmetricKey, feedback: SymmetricKey, input: SymmetricKey?, generation: UInt32, isHost: Bool,
        sessionId: String
    ) {
        self.generation = generation
        self.isHost = isHost
        let hostPlace = FramePlace(sessionId: sessionId, stream: .hostToGuest)
        let feedbackPlace = FramePlace(sessionId: sessionId, stream: .guestFeedback)
        let inputPlace = FramePlace(sessionId: sessionId, stream: .guestInput)
        self.hostToGuest = SealingKey(hostToGuest, place: hostPlace, epoch: generation)
        self.feedback = SealingKey(feedback, place: feedbackPlace, epoch: generation)
        if let input {
            self.input = SealingKey(input, place: inputPlace, epoch: generation)
        } else {
            self.input = nil
        }
        hostToGuestOpening = OpeningKey(hostToGuest, place: hostPlace)
        feedbackOpening = OpeningKey(feedback, place: feedbackPlace)
        inputOpening = input.map { OpeningKey($0, place: inputPlace) }
    }

    /// Host → this guest.
    public func seal(_ message: DirectMessage, to slot: Slot) -> ByteBuffer {
        hostToGuest.seal(message.bytes, kind: message.kind, slot: slot)
    }

    /// Guest → host: typed bytes.
    /// - Throws: ``EndToEndError/inputNotAllowed``: this guest's secret gave no input key.
    public func sealInput(_ bytes: [UInt8]) throws(EndToEndError) -> ByteBuffer {
        guard let frame = input?.seal(bytes, kind: .input) else { throw .inputNotAllowed }
        return frame
    }

    /// Guest → host: all messages other than input.
    public func seal(_ message: FeedbackMessage) -> ByteBuffer { feedback.seal(message.bytes, kind: .feedback) }

    /// A message from a guest to the host.
    public enum FromGuest: Sendable, Equatable {
        case input([UInt8])
        case feedback(FeedbackMessage)
    }

    /// Opens a frame from the guest.
    /// - Throws: ``EndToEndError``.
    public func openFromGuest(_ frame: ByteBuffer) throws(EndToEndError) -> FromGuest {
        let header = try self.header(frame)
        guard isHost, !header.kind.isFromHost else { throw .wrongDirection }
        if header.kind == .input {
            guard let inputOpening else { throw .inputNotAllowed }
            let bytes = try inputOpening.open(frame, header)
            try Self.advance(&nextInput, header.sequence)
            return .input(bytes)
        }
        let bytes = try feedbackOpening.open(frame, header)
        try Self.advance(&nextFeedback, header.sequence)
        return .feedback(try FeedbackMessage(bytes: bytes))
    }

    /// Opens a pairwise frame from the host.
    /// - Throws: ``EndToEndError``.
    public func openFromHost(_ frame: ByteBuffer) throws(EndToEndError) -> DirectMessage {
        let header = try self.header(frame)
        guard !isHost, header.kind == .direct || header.kind == .snapshot else { throw .wrongDirection }
        let bytes = try hostToGuestOpening.open(frame, header)
        try Self.advance(&nextFromHost, header.sequence)
        return try DirectMessage(bytes: bytes)
    }

    private func header(_ frame: ByteBuffer) throws(EndToEndError) -> FrameHeader {
        let header: FrameHeader
        do { header = try FrameHeader(peeking: frame) } catch { throw .truncated }
        guard header.epoch == generation else { throw .staleGeneration }
        return header
    }

    /// - Throws: ``EndToEndError`` `.replayed`, or `.gap`, after which nothing of this generation is accepted any more.
    private static func advance(_ next: inout UInt64, _ sequence: UInt64) throws(EndToEndError) {
        if sequence < next { throw .replayed }
        guard sequence == next else { throw .gap }
        next += 1
    }
}
