import Glibc
import NIOCore
import NIOPosix

/// Writes bytes to a terminal, a pipe or a file. It never blocks the event loop on a terminal or a pipe.
final class OutputStream {
    private let descriptor: CInt
    private var channel: (any Channel)?
    private let loop: any EventLoop

    /// - Parameter descriptor: of this process. It is reopened, so that the original keeps its own flags (a shell that
    ///   shares the terminal must not find it non-blocking).
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

    /// - Returns: succeeds when the bytes were passed to the system.
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

/// Reads bytes from a terminal, a pipe or a file, no faster than the reader takes them.
final class InputStream {
    /// Bytes that are read from a file at once.
    private static let pieceBytes = 64 << 10

    private let descriptor: CInt
    private let loop: any EventLoop
    private let onBytes: ([UInt8]?) -> Void
    private var channel: (any Channel)?
    private var isReading = true
    /// Set if a file is read. nil if the event loop does the reading, and at the end.
    private var file: CInt?
    private var isFileScheduled = false

    /// - Parameter onBytes: called on `loop` with the bytes that were read, and with nil at the end.
    init(descriptor: CInt, loop: any EventLoop, onBytes: @escaping ([UInt8]?) -> Void) {
        self.descriptor = descriptor
        self.loop = loop
        self.onBytes = onBytes
    }

    func start() {
        guard let own = Descriptors.reopened(descriptor, O_RDONLY) else {
            // A file or /dev/null: the event loop cannot wait for it.
            file = descriptor
            return scheduleFile()
        }
        let bound = NIOLoopBound(onBytes, eventLoop: loop)
        NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ByteHandler(bound.value))
                }
            }
            .takingOwnershipOfDescriptor(input: own).hop(to: loop).assumeIsolated().whenSuccess {
                self.channel = $0
                self.setReading(self.isReading)
            }
    }

    /// Pauses or resumes reading. Bytes that were already read are still delivered.
    func setReading(_ reading: Bool) {
        isReading = reading
        channel?.setOption(.autoRead, value: reading).whenFailure { _ in }
        scheduleFile()
    }

    private func scheduleFile() {
        guard isReading, file != nil, !isFileScheduled else { return }
        isFileScheduled = true
        loop.assumeIsolated().execute {
            self.isFileScheduled = false
            self.readFile()
        }
    }

    private func readFile() {
        guard isReading, let file else { return }
        let bytes = Descriptors.readOnce(file, limit: Self.pieceBytes)
        if bytes.isEmpty { self.file = nil }
        onBytes(bytes.isEmpty ? nil : bytes)
        scheduleFile()
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

    /// A pty without any open program returns EIO, which means its end.
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
    /// A separate descriptor for the same terminal, pipe or socket; nil for files, which need none.
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
            // Nobody reads the output any more, so it is dropped.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// Performs one read. The result is empty at the end of the file, and if the read fails.
    static func readOnce(_ descriptor: CInt, limit: Int) -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: limit)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            return Array(chunk.prefix(max(count, 0)))
        }
    }
}
