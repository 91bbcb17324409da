import NIOCore
import NIOEmbedded
import Testing

@testable import Sockets

@Suite struct ClientHelloTests {
    /// As OpenSSL 3 sends it: TLS 1.3, a server name and two protocols.
    private static let modern = bytes(
        """
        1603010200010001fc030314d931be0e36361b0bc0c4f953a5a5963d05daf0081bbc428b0e4261f1aebf6c20a3d5cfa72f6906d5c124b4
        fe3337f0c2a603e59b501a18a140c175b13f7828760024130213031301c02cc030c02bc02fcca9cca8c024c028c023c027009f009e006b
        006700ff0100018f00000010000e00000b426f782e4578616d706c65000b000403000102000a00160014001d0017001e00190018010001
        01010201030104002300000010001a00180e706f737465726e2d6c696e6b2f3108687474702f312e310016000000170000000d002a0028
        040305030603080708080809080a080b080408050806040105010601030303010302040205020602002b00050403040303002d00020101
        003300260024001d0020694ec951bc241c329e829a989e53aa197ebe3daa8416d844192531edca102f72001500c4000000000000000000
        00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
        00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
        00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
        00000000000000000000000000000000000000000000
        """)
    /// TLS 1.2, without a name or protocols.
    private static let plain = bytes(
        """
        160301009d010000990303f71149caa93b583e241f2addbd73b19e01266677c7970e6dc4f9d3f56b53e26f00001ec02cc030c02bc02fcc
        a9cca8c024c028c023c027009f009e006b006700ff01000052000b000403000102000a000c000a001d0017001e00190018002300000016
        000000170000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602
        """)

    private static func bytes(_ text: String) -> [UInt8] {
        let digits = text.filter { !$0.isWhitespace }.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private func read(_ bytes: some Sequence<UInt8>) -> ClientHello.Result {
        ClientHello.read(ByteBuffer(bytes: bytes))
    }

    private let expected = ClientHello(serverName: "box.example", protocols: ["postern-link/1", "http/1.1"])

    @Test func nameAndProtocolsAreRead() {
        #expect(read(Self.modern) == .hello(expected))
        #expect(read(Self.plain) == .hello(ClientHello(serverName: nil, protocols: [])))
    }

    @Test func everyPrefixNeedsMore() {
        for length in 0..<Self.modern.count { #expect(read(Self.modern.prefix(length)) == .needsMore) }
    }

    @Test func aHelloInSeveralRecordsIsTheSame() {
        let message = Self.modern.dropFirst(5)
        let parts = stride(from: message.startIndex, to: message.endIndex, by: 100).map {
            Array(message[$0..<min($0 + 100, message.endIndex)])
        }
        let cut: [UInt8] = parts.flatMap { (part: [UInt8]) -> [UInt8] in [22, 3, 1, 0, UInt8(part.count)] + part }
        #expect(read(cut) == .hello(expected))
    }

    @Test func otherProtocolsAreNoHello() {
        #expect(read("GET / HTTP/1.1\r\n".utf8) == .other)
        // An alert, an empty record, a record that is too long, a server hello.
        #expect(read([21, 3, 3, 0, 2, 2, 40]) == .other)
        #expect(read([22, 3, 1, 0, 0]) == .other)
        #expect(read([22, 3, 1, 0x40, 1]) == .other)
        #expect(read([22, 3, 3, 0, 4, 2, 0, 0, 0]) == .other)
    }

    /// Any byte may be anything: the answer is one of three, and never a trap.
    @Test func mutatedHellosAreAnswered() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = Bool.random(using: &generator) ? Self.modern : Self.plain
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = read(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
        }
    }

    /// What arrives at the handlers behind, and what was decided.
    private final class Arrived: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes: [UInt8] = []
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += Array(buffer: unwrapInboundIn(data))
        }
    }

    private func decided(_ pieces: [[UInt8]]) throws -> (ClientHello?, [UInt8]) {
        let (arrived, channel) = (Arrived(), EmbeddedChannel())
        var decisions: [ClientHello?] = []
        let handler = ClientHelloHandler { hello in
            decisions.append(hello)
            do { try channel.pipeline.syncOperations.addHandler(arrived) } catch { Issue.record(error) }
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        for piece in pieces { try channel.writeInbound(ByteBuffer(bytes: piece)) }
        channel.embeddedEventLoop.run()
        #expect(decisions.count == 1)
        return (decisions.first ?? nil, arrived.bytes)
    }

    @Test func theHandlerPassesEveryByteOnceItHasDecided() throws {
        let behind: [UInt8] = [23, 3, 3, 0, 1, 7]
        let whole = Self.modern + behind
        let (hello, bytes) = try decided(whole.map { [$0] })
        #expect(hello == expected && bytes == whole)
        let (same, all) = try decided([whole])
        #expect(same == expected && all == whole)
        let (none, plain) = try decided([Array("GET / HTTP/1.1\r\n".utf8)])
        #expect(none == nil && plain == Array("GET / HTTP/1.1\r\n".utf8))
    }
}
