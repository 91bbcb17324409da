import FoundationEssentials
import NIOCore
import Wire

extension ServerMessage {
    /// A binary frame in the form for a peer that speaks only JSON. `nonce` is the frame's header in base64. With the
    /// header and the fields beside it, the peer can decrypt the payload.
    static func relayData(header: FrameHeader, payload: ByteBuffer, userId: String, peerId: String) -> ServerMessage {
        var event = ServerMessage(.relayData)
        event.from = header.kind.isFromHost ? "host" : "guest"
        event.fromUserId = userId
        event.fromPeerId = peerId
        event.encryptedData = Data(payload.readableBytesView).base64EncodedString()
        var bytes = ByteBuffer()
        header.write(into: &bytes)
        event.nonce = Data(bytes.readableBytesView).base64EncodedString()
        event.kind = header.kind.rawValue
        event.slot = header.slot
        event.epoch = header.epoch
        event.sequence = header.sequence
        return event
    }
}
