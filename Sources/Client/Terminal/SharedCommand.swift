import CPlatform
import Glibc
import Model
import NIOCore
import NIOPosix

/// The command and its pseudo-terminal.
final class SharedCommand {
    /// Maximum reads per wake-up. The kernel returns at most 4 KiB for each.
    private static let readsPerWakeUp: UInt = 16

    private let descriptor: CInt
    /// Nil once the process was waited for: the system may then reuse its number.
    private var process: pid_t?
    private let loop: any EventLoop
    private var channel: (any Channel)?

    /// Starts the command. Call this on `loop`.
    /// - Parameters:
    ///   - codes: of the share, for programs that run in it. They contain no secrets.
    ///   - onOutput: called with each read, and with nil once no program has the terminal open.
    ///   - onPause: called when there is nothing more to read for now.
    init(
        _ command: [String], rows: Int, columns: Int, codes: [String], loop: any EventLoop,
        onOutput: @escaping ([UInt8]?) -> Void,
        onPause: @escaping () -> Void
    ) throws(ClientError) {
        self.loop = loop
        var child: pid_t = 0
        let arguments = command.map { strdup($0) } + [nil]
        let environment = Self.environment(codes).map { strdup($0) } + [nil]
        defer { (arguments + environment).forEach { free($0) } }
        descriptor = postern_spawn_on_pty(
            arguments, environment, UInt16(clamping: rows), UInt16(clamping: columns), &child)
        process = child
        guard descriptor >= 0 else {
            throw ClientError("cannot create a pseudo-terminal: \(String(cString: strerror(errno)))")
        }
        let bound = NIOLoopBound((onOutput, onPause), eventLoop: loop)
        NIOPipeBootstrap(group: loop)
            .channelOption(.maxMessagesPerRead, value: Self.readsPerWakeUp)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 16 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (onOutput, onPause) = bound.value
                    try channel.pipeline.syncOperations.addHandler(ByteHandler(onOutput, onReadComplete: onPause))
                }
            }
            .takingOwnershipOfDescriptor(inputOutput: descriptor)
            .hop(to: loop).assumeIsolated().whenSuccess { self.channel = $0 }
    }

    /// The command's environment: that of this process, and the codes of the share.
    private static func environment(_ codes: [String]) -> [String] {
        var entries: [String] = []
        var pointer = environ
        while let entry = pointer.pointee {
            let text = String(cString: entry)
            // Credentials of this process are hidden from the command and its guests.
            if !text.hasPrefix("POSTERN_TOKEN=") && !text.hasPrefix("POSTERN_SHARED=") { entries.append(text) }
            pointer += 1
        }
        if !entries.contains(where: { $0.hasPrefix("TERM=") }) { entries.append("TERM=xterm-256color") }
        return entries + ["POSTERN_SHARED=\(codes.joined(separator: ","))"]
    }

    /// - Returns: succeeds when the terminal has accepted the bytes, that is, when a program reads from it or its queue
    ///   has space.
    @discardableResult
    func type(_ bytes: [UInt8]) -> EventLoopFuture<Void> {
        channel?.writeAndFlush(ByteBuffer(bytes: bytes)) ?? loop.makeFailedFuture(ChannelError.ioOnClosedChannel)
    }

    func resize(rows: Int, columns: Int) {
        _ = postern_set_window_size(descriptor, UInt16(clamping: rows), UInt16(clamping: columns))
    }

    func setReading(_ reading: Bool) { channel?.setOption(.autoRead, value: reading).whenFailure { _ in } }

    /// Sends SIGHUP, as a closed terminal window does.
    func hangUp() { if let process { kill(process, SIGHUP) } }

    /// The command's exit status, 128 + n after signal n.
    func wait() -> EventLoopFuture<Int32> {
        guard let process else { return loop.makeSucceededFuture(0) }
        let ended = NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            // With WNOWAIT the process is reaped below, on the event loop, so that its number is not signalled
            // afterwards.
            var information = siginfo_t()
            while waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
        }
        return ended.assumeIsolated().map {
            var status: CInt = 0
            while waitpid(process, &status, 0) < 0 && errno == EINTR {}
            self.process = nil
            let signal = status & 0x7F
            return signal == 0 ? status >> 8 & 0xFF : 128 + signal
        }.nonisolated()
    }
}
