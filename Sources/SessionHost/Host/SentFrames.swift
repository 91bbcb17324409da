package import NIOCore

/// Broadcasts that the relay may not have received when the connection dropped. They are sent again on the next one.
package struct SentFrames {
    /// In bytes: the contents of both sockets' buffers, and more than `--lossless` leaves unacknowledged.
    private static let capacity = 8 << 20

    private var frames = CircularBuffer<ByteBuffer>()
    private var bytes = 0

    package mutating func append(_ frame: ByteBuffer) {
        frames.append(frame)
        bytes += frame.readableBytes
        while bytes > Self.capacity, let oldest = frames.popFirst() { bytes -= oldest.readableBytes }
    }

    package mutating func removeAll() {
        frames.removeAll()
        bytes = 0
    }

    /// All frames that are still stored.
    package var all: [ByteBuffer] { Array(frames) }

    /// The frames from `sequence` on; nil if one of them is no longer stored.
    /// - Parameter next: the number of the next new frame.
    package func from(_ sequence: UInt64, next: UInt64) -> [ByteBuffer]? {
        guard sequence <= next, Int(clamping: next - sequence) <= frames.count else { return nil }
        return Array(frames.suffix(Int(next - sequence)))
    }
}

/// `--lossless`: how far the command may run ahead of the slowest guest.
package struct Pacing {
    /// Above this many bytes the command is paused, below half of it it continues. It is less than the relay's ring (2
    /// MiB), so that a guest that reconnects always finds what it missed.
    package static let window = 1 << 20

    private var sizes = CircularBuffer<Int>()
    private var outstanding = 0
    package private(set) var isReading = true

    package mutating func sent(_ bytes: Int) {
        sizes.append(bytes)
        outstanding += bytes
    }

    /// - Returns: whether to read the command's output; nil if that does not change.
    package mutating func update(slowest: UInt64, newest: UInt64, connected: Bool) -> Bool? {
        let unsettled = Int(clamping: newest - min(slowest, newest))
        while sizes.count > unsettled, let size = sizes.popFirst() { outstanding -= size }
        let wanted = connected && (isReading ? outstanding < Self.window : outstanding < Self.window / 2)
        guard wanted != isReading else { return nil }
        isReading = wanted
        return wanted
    }
}
