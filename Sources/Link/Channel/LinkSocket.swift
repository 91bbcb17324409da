public import NIOCore

/// The socket options that both ends of a link set.
public enum LinkSocket {
    /// TCP_USER_TIMEOUT: milliseconds that sent bytes may wait to be acknowledged (tcp(7)). This detects a peer that
    /// disappeared long before TCP does by itself.
    private static let userTimeout = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 18))
    private static let userTimeoutMilliseconds: SocketOptionValue = 20_000
    /// TCP_NOTSENT_LOWAT: bytes that the kernel holds before they are sent (tcp(7)). Data in the kernel can no longer
    /// be reordered.
    private static let notSentLowWater = ChannelOptions.Types.SocketOption(level: .tcp, name: .init(rawValue: 25))
    private static let notSentBytes: SocketOptionValue = 128 << 10
    /// Large reads for bulk data, small buffers while idle. In bytes.
    private static let reads = AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 4096, maximum: 128 << 10)

    /// Call this before anything is read, on the channel's event loop.
    /// - Throws: NIO's error if the channel is closing.
    public static func prepare(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.writeBufferWaterMark, value: LinkHandler.waterMark)
        try options.setOption(.recvAllocator, value: reads)
        // Without these options the link works the same, but notices failures later.
        try? options.setOption(userTimeout, value: userTimeoutMilliseconds)
        try? options.setOption(notSentLowWater, value: notSentBytes)
    }
}
