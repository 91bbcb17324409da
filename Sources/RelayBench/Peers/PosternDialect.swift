import NIOCore
import WebSocket
import Wire

/// Postern itself: a host that broadcasts binary frames, and its guests.
struct PosternDialect: Dialect {
    let role: Role
    let token: String
    let session: String
    let code: String
    private var sequence: UInt64 = 0
    private var resumeToken: String?
    /// The host's guests.
    private var slots: [String: Slot] = [:]

    init(role: Role, token: String, session: String, code: String) {
        self.role = role
        self.token = token
        self.session = session
        self.code = code
    }

    var path: String { relayPath }
    var subprotocol: String { relaySubprotocol }

    func opened() -> [Outgoing] {
        var join = ClientMessageText(type: role == .publisher ? "joinAsHost" : "joinAsGuest")
        join.token = token
        join.binary = true
        if role == .publisher {
            join.sessionId = session
        } else {
            join.code = code
            join.guestPublicKey = "k"
        }
        return [Outgoing(opcode: .text, bytes: JSONText.encode(join))]
    }

    /// Takes its seat again, and waits for a snapshot.
    func reopened() -> [Outgoing] {
        var resume = ClientMessageText(type: "resume")
        resume.resumeToken = resumeToken
        resume.binary = true
        return [Outgoing(opcode: .text, bytes: JSONText.encode(resume))]
    }

    mutating func received(_ message: WebSocketMessage) throws -> [Incoming] {
        var bytes = message.payload
        if message.kind == .binary {
            let header = try FrameHeader(peeking: bytes)
            bytes.moveReaderIndex(forwardBy: FrameHeader.size)
            // Broadcasts begin with a snapshot.
            return header.kind == .snapshot ? [.ready] : [.delivery(bytes)]
        }
        let event = try JSONText.decode(ServerMessage.self, from: bytes)
        switch event.type {
        case .ack:
            guard event.success == true else { throw LoadError(event.error ?? "refused") }
            resumeToken = event.resumeToken ?? resumeToken
            return role == .publisher ? [.ready] : []
        case .peerReturned where role == .publisher: return event.peerId.flatMap { slots[$0] }.map(snapshot) ?? []
        case .guestJoined:
            return event.slot.map { slot in
                event.peerId.map { slots[$0] = slot }
                return snapshot(slot)
            } ?? []
        case .warning: throw LoadError(event.message ?? "warned")
        default: return []
        }
    }

    mutating func publish(_ payload: ByteBuffer) -> Outgoing {
        sequence += 1
        return .binary(frame(.broadcast, FrameHeader.hostSlot, sequence, payload))
    }

    /// A full screen with colours and some lines above it, in bytes.
    private static let snapshot = ByteBuffer(repeating: 7, count: 16 << 10)

    private func snapshot(_ slot: Slot) -> [Incoming] { [.reply(.binary(frame(.snapshot, slot, 0, Self.snapshot)))] }

    private func frame(_ kind: FrameKind, _ slot: Slot, _ sequence: UInt64, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBufferAllocator().buffer(capacity: FrameHeader.size + payload.readableBytes)
        FrameHeader(kind: kind, slot: slot, epoch: 1, sequence: sequence).write(into: &frame)
        frame.writeImmutableBuffer(payload)
        return frame
    }
}
