import NIOCore
import NIOEmbedded
import NIOTLS
import Testing

@testable import TransportSecurity

/// Two handlers, back to back, without a socket: what one writes the other reads.
private final class Wire {
    private(set) var server: EmbeddedChannel
    let client: EmbeddedChannel

    init(trust: (Fingerprint) -> TLSContext.Trust = { .pinned($0) }) throws {
        let store = ServerCertificates()
        let pair = try Issuing.selfSigned(names: ["box.example"], now: 1_790_000_000)
        try store.serve(pair, servesAnyName: true)
        server = EmbeddedChannel(handler: try TLSHandler.server(TLSContext.listener(store)))
        client = EmbeddedChannel(
            handler: try TLSHandler.client(.client(trust: trust(pair.leaf.fingerprint)), serverName: "box.example"))
        try server.pipeline.syncOperations.addHandler(Events())
        try client.pipeline.syncOperations.addHandler(Events())
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        server.connect(to: address, promise: nil)
        client.connect(to: address, promise: nil)
    }

    /// Carries bytes until nobody has any.
    /// - Returns: how many writes each side made: server, client.
    @discardableResult
    func run() throws -> (server: Int, client: Int) {
        var counts = (0, 0)
        while true {
            var moved = false
            while let bytes = try client.readOutbound(as: ByteBuffer.self) {
                counts.1 += 1
                moved = true
                try? server.writeInbound(bytes)
            }
            while let bytes = try server.readOutbound(as: ByteBuffer.self) {
                counts.0 += 1
                moved = true
                try? client.writeInbound(bytes)
            }
            if !moved { return counts }
        }
    }

    /// The server goes on in a channel of its own; the old one is closed.
    func moveServer() throws {
        let old = server
        let session = try #require(try old.pipeline.syncOperations.handler(type: TLSHandler.self).detach())
        server = EmbeddedChannel(handler: TLSHandler.continuing(session))
        try server.pipeline.syncOperations.addHandler(Events())
        server.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        old.close(promise: nil)
        #expect(try old.readOutbound(as: ByteBuffer.self) == nil, "the old channel said goodbye")
        #expect(try events(old).errors.isEmpty)
    }

    func events(_ channel: EmbeddedChannel) throws -> Events {
        try channel.pipeline.syncOperations.handler(type: Events.self)
    }
}

private final class Events: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private(set) var handshakes = 0
    private(set) var closed = false
    private(set) var errors: [TLSError] = []

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { handshakes += 1 }
        if case ChannelEvent.inputClosed = event { closed = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { errors.append(error) }
    }
}

@Suite struct TLSHandlerTests {
    @Test func anEstablishedConnectionGoesOnInAnotherChannelInTheMiddleOfARecord() throws {
        let wire = try Wire()
        try wire.run()
        try wire.client.writeOutbound(ByteBuffer(string: "cut in two"))
        var sealed = try #require(try wire.client.readOutbound(as: ByteBuffer.self))
        let begun = sealed.readSlice(length: 9)
        try wire.server.writeInbound(try #require(begun))
        try wire.moveServer()
        try wire.server.writeInbound(sealed)
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "cut in two"))
        try wire.server.writeOutbound(ByteBuffer(string: "and back"))
        try wire.run()
        #expect(try wire.client.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "and back"))
        #expect(try wire.events(wire.client).errors.isEmpty)
        #expect(try wire.events(wire.server).handshakes == 0)
    }

    @Test func aConnectionThatIsNotEstablishedCannotBeDetached() throws {
        let wire = try Wire()
        #expect(try wire.server.pipeline.syncOperations.handler(type: TLSHandler.self).detach() == nil)
    }

    @Test func whatIsWrittenBeforeTheHandshakeArrivesAfterIt() throws {
        let wire = try Wire()
        let written = wire.client.writeAndFlush(ByteBuffer(string: "hello"))
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == nil)
        try wire.run()
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == ByteBuffer(string: "hello"))
        #expect(try wire.events(wire.server).handshakes == 1)
        #expect(try wire.events(wire.client).handshakes == 1)
        try written.wait()
    }

    @Test func manySmallWritesLeaveInOneAndInFullRecords() throws {
        let wire = try Wire()
        try wire.run()
        for _ in 0..<4000 { wire.server.write(ByteBuffer(repeating: 7, count: 10), promise: nil) }
        wire.server.flush()
        let bytes = try #require(try wire.server.readOutbound(as: ByteBuffer.self))
        #expect(try wire.server.readOutbound(as: ByteBuffer.self) == nil)
        // 40,000 bytes are three records: 22 bytes each of header, type and tag.
        #expect(bytes.readableBytes == 40_000 + 3 * 22)
        try wire.client.writeInbound(bytes)
        var arrived = 0
        while let plain = try wire.client.readInbound(as: ByteBuffer.self) { arrived += plain.readableBytes }
        #expect(arrived == 40_000)
    }

    @Test func writesOfEverySizeArriveInOrder() throws {
        let wire = try Wire()
        try wire.run()
        var expected: [UInt8] = []
        for size in [1, 16383, 2, 16384, 3, 16385, 0, 50_000, 4, 5, 100_000, 6] {
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ size) }
            expected += bytes
            wire.client.write(ByteBuffer(bytes: bytes), promise: nil)
        }
        wire.client.flush()
        try wire.run()
        var arrived: [UInt8] = []
        while let plain = try wire.server.readInbound(as: ByteBuffer.self) { arrived += plain.readableBytesView }
        #expect(arrived == expected)
    }

    @Test func anotherCertificateThanThePinnedOneEndsItBeforeAByteWasSent() throws {
        let wire = try Wire(trust: { _ in .pinned(.none) })
        wire.client.writeAndFlush(ByteBuffer(string: "secret"), promise: nil)
        try wire.run()
        let error = try #require(try wire.events(wire.client).errors.first)
        #expect(error.code == .untrusted)
        #expect(error.found != nil)
        #expect(try wire.server.readInbound(as: ByteBuffer.self) == nil)
    }

    @Test func aStrangersCertificateIsNotTrustedBySystem() throws {
        let wire = try Wire(trust: { _ in .system })
        try wire.run()
        #expect(try wire.events(wire.client).errors.first?.code == .untrusted)
    }

    @Test func theEndOfTheStreamInsideAHandshakeIsAnError() throws {
        let wire = try Wire()
        wire.server.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(try wire.events(wire.server).errors.first?.code == .handshakeFailed)
        #expect(!wire.server.isActive)
    }

    @Test func aSilentPeerLosesItsHandshakeAtTheDeadline() throws {
        let wire = try Wire()
        let events = try wire.events(wire.server)
        wire.server.embeddedEventLoop.advanceTime(by: TLSLimits.handshakeDeadline)
        #expect(events.errors.first?.code == .handshakeTimeout)
        #expect(!wire.server.isActive)
    }

    @Test func tooMuchBeforeTheHandshakeIsAnErrorAndNotMemory() throws {
        let wire = try Wire()
        for _ in 0..<40 { wire.client.write(ByteBuffer(repeating: 0, count: 32 << 10), promise: nil) }
        #expect(try wire.events(wire.client).errors.first?.code == .overflow)
    }

    @Test func closingSaysGoodbyeAndWaitsForTheOtherSideToDoSo() throws {
        let wire = try Wire()
        try wire.run()
        let closed = wire.client.close()
        #expect(wire.client.isActive)
        try wire.run()
        #expect(!wire.client.isActive)
        try closed.wait()
    }

    @Test func aPeerThatNeverAnswersTheFarewellIsCutOff() throws {
        let wire = try Wire()
        try wire.run()
        wire.client.close(promise: nil)
        wire.client.embeddedEventLoop.advanceTime(by: TLSLimits.closeNotifyTimeout)
        #expect(!wire.client.isActive)
    }

    @Test func bytesThatAreNoTLSAreRefused() throws {
        let wire = try Wire()
        try? wire.server.writeInbound(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
        #expect(try wire.events(wire.server).errors.first?.code == .plainHTTP)
        #expect(!wire.server.isActive)
    }

    @Test func randomBytesNeverDoMoreThanEndTheConnection() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let wire = try Wire()
            if Bool.random(using: &generator) { try wire.run() }
            let count = Int.random(in: 1...300, using: &generator)
            let noise = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            try? wire.server.writeInbound(ByteBuffer(bytes: [0x16, 0x03, 0x01] + noise))
            #expect(try wire.server.readInbound(as: ByteBuffer.self) == nil)
        }
    }
}
