public import NIOCore

/// What both ends of a link set on their socket.
public enum LinkSocket {
    /// TCP_USER_TIMEOUT: milliseconds that sent bytes may wait to be acknowledged (tcp(7)). A peer that is gone without a word is given up
    /// long before TCP does it by itself.
    private static let userTimeout = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 18))
    private static let userTimeoutMilliseconds: SocketOptionValue = 20_000
    /// TCP_NOTSENT_LOWAT: bytes that the kernel holds before they are sent (tcp(7)): what it holds cannot be put in another order any more.
    private static let notSentLowWater = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 25))
    private static let notSentBytes: SocketOptionValue = 128 << 10
    /// Long reads while bulk arrives, short buffers while nothing does. In bytes.
    private static let reads = AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 4096, maximum: 128 << 10)

    /// Call before anything is read, on the channel's event loop.
    /// - Throws: what NIO says of a channel that is on its way down.
    public static func prepare(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.writeBufferWaterMark, value: LinkHandler.waterMark)
        try options.setOption(.recvAllocator, value: reads)
        // A system without them has the same link, a little slower to notice things.
        try? options.setOption(userTimeout, value: userTimeoutMilliseconds)
        try? options.setOption(notSentLowWater, value: notSentBytes)
    }
}
