import Glibc
import NIOCore
import NIOPosix

/// Bytes out to a terminal, a pipe or a file, without ever blocking the event loop on a terminal or a pipe.
final class OutputStream {
    private let descriptor: CInt
    private var channel: (any Channel)?
    private let loop: any EventLoop

    /// - Parameter descriptor: of this process; it is opened anew, so that the original keeps its own flags (a shell that
    ///   shares a terminal with us must not find it non-blocking).
    init(descriptor: CInt, loop: any EventLoop) {
        self.descriptor = descriptor
        self.loop = loop
    }

    func start() -> EventLoopFuture<Void> {
        guard let own = Descriptors.reopened(descriptor, O_WRONLY) else { return loop.makeSucceededVoidFuture() }
        return NIOPipeBootstrap(group: loop)
            .channelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 256 << 10))
            .takingOwnershipOfDescriptor(output: own)
            .hop(to: loop).assumeIsolated().map { self.channel = $0 }.nonisolated()
    }

    var isWritable: Bool { channel?.isWritable ?? true }

    /// - Returns: succeeds when the bytes have been handed to the system.
    func write(_ bytes: [UInt8]) -> EventLoopFuture<Void> {
        guard let channel else {
            Descriptors.writeAll(bytes, to: descriptor)
            return loop.makeSucceededVoidFuture()
        }
        return channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    func finish() -> EventLoopFuture<Void> {
        guard let channel else { return loop.makeSucceededVoidFuture() }
        return channel.writeAndFlush(ByteBuffer()).flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            .flatMap { channel.close() }.flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
    }
}

/// Bytes in from a terminal, a pipe or a file.
enum InputStream {
    /// Calls `onBytes` on `loop` for whatever can be read, and with nil at the end.
    static func start(
        descriptor: CInt, loop: any EventLoop, onBytes: @escaping ([UInt8]?) -> Void
    ) -> EventLoopFuture<(any Channel)?> {
        guard let own = Descriptors.reopened(descriptor, O_RDONLY) else {
            // A file (or /dev/null): read it here and now; typing a file into a terminal is short.
            let bytes = Descriptors.readAll(descriptor, limit: 1 << 20)
            if !bytes.isEmpty { onBytes(bytes) }
            onBytes(nil)
            return loop.makeSucceededFuture(nil)
        }
        let bound = NIOLoopBound(onBytes, eventLoop: loop)
        return NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ByteHandler(bound.value))
                }
            }
            .takingOwnershipOfDescriptor(input: own).map { $0 }
    }
}

/// Hands what a pipe channel reads to a closure.
final class ByteHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let onBytes: ([UInt8]?) -> Void
    private let onReadComplete: () -> Void
    private var ended = false

    init(_ onBytes: @escaping ([UInt8]?) -> Void, onReadComplete: @escaping () -> Void = {}) {
        self.onBytes = onBytes
        self.onReadComplete = onReadComplete
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        onBytes(Array(unwrapInboundIn(data).readableBytesView))
    }

    func channelReadComplete(context: ChannelHandlerContext) { onReadComplete() }

    func channelInactive(context: ChannelHandlerContext) { end() }

    /// A pty whose last program has gone answers EIO: that is its end.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
        end()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { end() }
    }

    private func end() {
        if !ended { onBytes(nil) }
        ended = true
    }
}

enum Descriptors {
    /// A descriptor of our own on the same terminal, pipe or socket; nil for files, which need none.
    static func reopened(_ descriptor: CInt, _ mode: CInt) -> CInt? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return nil }
        let kind = status.st_mode & S_IFMT
        guard kind == S_IFIFO || kind == S_IFSOCK || (kind == S_IFCHR && isatty(descriptor) == 1) else { return nil }
        let own = open("/proc/self/fd/\(descriptor)", mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        return own >= 0 ? own : fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    }

    static func writeAll(_ bytes: [UInt8], to descriptor: CInt) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // Nobody reads any more: there is nothing left to tell.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    static func readAll(_ descriptor: CInt, limit: Int) -> [UInt8] {
        var collected: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while collected.count < limit {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            collected += chunk[..<count]
        }
        return collected
    }
}
