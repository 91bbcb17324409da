import NIOCore
import Wire

/// The protocol variant that a peer speaks. A room handles messages and frames; this type converts them to the form
/// that each peer understands.
enum PeerDialect: Sendable, Equatable {
    /// `postern.v1` with binary frames.
    case frames
    /// `postern.v1`, JSON only.
    case json
    /// Socket.IO, always JSON.
    case socketIO

    /// An event or an acknowledgement, ready for the socket; nil if the dialect cannot express it.
    func framed(_ message: ServerMessage) -> FramedMessage? {
        switch self {
        case .frames, .json: .text(message)
        case .socketIO: SocketIOPacket.framed(message)
        }
    }
}

/// Broadcast frames for peers that speak only JSON. They are converted once for each dialect in use.
struct SpokenBatch {
    private let batch: BroadcastBatch
    private var spoken: [PeerDialect: [ByteBuffer]] = [:]

    init(_ batch: BroadcastBatch) { self.batch = batch }

    /// - Parameter speak: converts one frame to a dialect.
    mutating func lines(
        for dialect: PeerDialect, _ speak: (FramedMessage, PeerDialect) -> ByteBuffer?
    ) -> [ByteBuffer] {
        if let known = spoken[dialect] { return known }
        let made = batch.messages.compactMap { speak($0, dialect) }
        spoken[dialect] = made
        return made
    }
}

/// One message for many peers, framed once for each dialect in use.
struct SpokenMessage {
    private let message: ServerMessage
    private var framed: [(dialect: PeerDialect, message: FramedMessage?)] = []

    init(_ message: ServerMessage) { self.message = message }

    mutating func bytes(for dialect: PeerDialect) -> ByteBuffer? {
        if let known = framed.first(where: { $0.dialect == dialect }) { return known.message?.bytes }
        let made = dialect.framed(message)
        framed.append((dialect, made))
        return made?.bytes
    }
}
