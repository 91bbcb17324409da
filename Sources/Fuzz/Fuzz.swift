import EndToEnd
import NIOCore
import Terminal
import WebSocket
import Wire

@testable import Relay

/// What libFuzzer calls with bytes of its making: the first names a parser, the rest is its input. Whatever comes, a parser
/// answers or throws; a trap is a finding.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = UnsafeBufferPointer(start: data, count: count)
    guard let which = input.first else { return 0 }
    Parsers.all[Int(which) % Parsers.all.count](Array(input.dropFirst()))
    return 0
}

private enum Parsers {
    static let all: [@Sendable ([UInt8]) -> Void] = [
        { webSocket($0, role: .server) },
        { webSocket($0, role: .client) },
        { _ = try? ClientMessage.parse(ByteBuffer(bytes: $0)) },
        frame,
        { _ = try? SocketIOPacket.parse(ByteBuffer(bytes: $0)) },
        { _ = try? HandshakeMessage(payload: String(decoding: $0, as: UTF8.self)) },
        { _ = try? JSONText.decode(ServerMessage.self, from: ByteBuffer(bytes: $0)) },
        { _ = ShareInvitation(String(decoding: $0, as: UTF8.self)) },
        screen,
    ]

    /// However the bytes are cut, the messages are the same.
    private static func webSocket(_ bytes: [UInt8], role: WebSocketReader.Role) {
        let cut = bytes.isEmpty ? 0 : Int(bytes[0]) % bytes.count
        let whole = messages([bytes[...]], role), parts = messages([bytes[..<cut], bytes[cut...]], role)
        precondition(whole == parts, "a cut changed what was read")
        precondition(
            whole == messages([bytes[...]], role, atOnce: true), "many taken at once were others than one by one")
    }

    private static func messages(
        _ reads: [ArraySlice<UInt8>], _ role: WebSocketReader.Role, atOnce: Bool = false
    ) -> [ByteBuffer] {
        var reader = WebSocketReader(role: role, maxMessageBytes: 1 << 16, maxFragments: 16)
        var found: [ByteBuffer] = []
        for read in reads {
            reader.receive(ByteBuffer(bytes: read))
            do {
                while true {
                    var target = ByteBuffer()
                    if atOnce {
                        reader.takeBinary(to: &target, minimumCapacity: 0) {
                            found.append(ByteBuffer(bytes: $1)); return true
                        }
                    }
                    guard let message = try reader.next() else { break }
                    found.append(message.payload)
                }
            } catch { return found }
        }
        return found
    }

    /// What is read as a header is written as the same bytes.
    private static func frame(_ bytes: [UInt8]) {
        let buffer = ByteBuffer(bytes: bytes)
        guard let header = try? FrameHeader(peeking: buffer) else { return }
        var again = ByteBuffer()
        header.write(into: &again)
        precondition(again == buffer.getSlice(at: 0, length: FrameHeader.size), "a header changed on its way")
    }

    private static func screen(_ bytes: [UInt8]) {
        var screen = Screen(rows: 6, columns: 12)
        screen.feed(bytes)
        // A snapshot of whatever came makes the same screen.
        var copy = Screen(rows: 6, columns: 12)
        copy.feed(screen.snapshot(within: 1 << 16))
        precondition(copy.text == screen.text, "a snapshot showed something else")
    }
}
