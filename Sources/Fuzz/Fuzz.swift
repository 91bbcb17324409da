import EndToEnd
import HTTP1
import NIOCore
import Terminal
import WebSocket
import Wire

@testable import CertificateAuthorities
@testable import Link
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
        linkEngine,
        request,
        response,
        { bytes in
            for kind in [DNSQuery.Kind.text, .address, .authorization] {
                guard
                    case .records(let records, _) = DNSQuery(id: 0, name: "a", kind: kind).answer(
                        ByteBuffer(bytes: bytes))
                else { continue }
                for record in records {
                    _ = (DNSQuery.text(record), DNSQuery.address(record), DNSQuery.authorization(record))
                }
            }
        },
        { if let asked = DNSQuestion(ByteBuffer(bytes: $0)) { _ = DNSZone(name: "a", server: "b").answer(asked) } },
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

    /// A machine's engine behind its greeting, with a stream of either side: whatever comes, and however it is cut, it answers or ends
    /// the link, and gives every byte of its budget back.
    private static func linkEngine(_ bytes: [UInt8]) {
        let budget = CreditBudget(limit: 1 << 20)
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let engine = LinkEngine(.init(side: .machine, maxStreams: 4, opensPerSecond: 100), budget: budget, now: now)
        var welcome = ByteBuffer()
        welcome.writeFrame(.welcome, JSONText.encode(LinkWelcome(software: "", link: "", maxStreams: 4)))
        engine.receive(welcome, now: now)
        _ = try? engine.open(LinkOpen(tunnel: "", peer: "", host: "", trace: ""), now: now)
        let cut = bytes.isEmpty ? 0 : Int(bytes[0]) % bytes.count
        for part in [bytes[..<cut], bytes[cut...]] {
            engine.receive(ByteBuffer(bytes: part), now: now)
            for event in engine.takeEvents() {
                if case .data(let stream, let content) = event {
                    engine.consume(stream, content.readableBytes, now: now)
                }
            }
            _ = engine.output(atMost: 1 << 16)
        }
        engine.close()
        precondition(budget.grantedBytes == 0, "memory was not given back")
    }

    /// However the bytes are cut, the head is the same.
    private static func request(_ bytes: [UInt8]) {
        let cut = bytes.isEmpty ? 0 : Int(bytes[0]) % bytes.count
        let whole = target([bytes[...]]), parts = target([bytes[..<cut], bytes[cut...]])
        precondition(whole == parts, "a cut changed what was read")
    }

    private static func target(_ reads: [ArraySlice<UInt8>]) -> String? {
        var input = ByteBuffer()
        var reader = HeadReader(limit: 16 << 10)
        for read in reads {
            input.writeBytes(read)
            guard let found = try? reader.next(&input) else { continue }
            guard let head = try? RequestHead(found) else { return nil }
            var body = BodyReader(head.body)
            while let part = try? body.next(&input) { if case .end = part { break } }
            return "\(head.method) \(head.target) \(head.host ?? "") \(head.body)"
        }
        return nil
    }

    private static func response(_ bytes: [UInt8]) {
        var input = ByteBuffer(bytes: bytes)
        var reader = HeadReader(limit: 64 << 10)
        guard let found = try? reader.next(&input), let head = try? ResponseHead(found, to: "GET") else { return }
        var body = BodyReader(head.body)
        while let part = try? body.next(&input) { if case .end = part { break } }
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
