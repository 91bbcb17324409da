import NIOCore
import Wire

/// What a peer speaks. A room knows messages and frames; here they get the form that each peer understands.
enum PeerDialect: Sendable, Equatable {
    /// `postern.v1` with binary frames.
    case frames
    /// `postern.v1`, JSON only.
    case json
    /// Socket.IO, always JSON.
    case socketIO

    /// An event or an acknowledgement, ready for the socket; nil where the dialect has no way to say it.
    func framed(_ message: ServerMessage) -> FramedMessage? {
        switch self {
        case .frames, .json: .text(message)
        case .socketIO: SocketIOPacket.framed(message)
        }
    }
}

/// Broadcast frames for peers that speak only JSON: put into words once for each dialect that is spoken among them.
struct SpokenBatch {
    private let batch: BroadcastBatch
    private var spoken: [PeerDialect: [ByteBuffer]] = [:]

    init(_ batch: BroadcastBatch) { self.batch = batch }

    /// - Parameter speak: one frame in a dialect.
    mutating func lines(
        for dialect: PeerDialect, _ speak: (FramedMessage, PeerDialect) -> ByteBuffer?
    ) -> [ByteBuffer] {
        if let known = spoken[dialect] { return known }
        let made = batch.messages.compactMap { speak($0, dialect) }
        spoken[dialect] = made
        return made
    }
}

/// One message for many peers: framed once for each dialect that is spoken among them.
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
