package import NIOCore

/// Broadcasts the relay may not have received when the connection drops: sent again when it comes back.
package struct SentFrames {
    /// In bytes: what can be under way in both sockets' buffers, and more than `--lossless` leaves unacknowledged.
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

    /// Everything that is still here.
    package var all: [ByteBuffer] { Array(frames) }

    /// Frames from `sequence` on, or nil if one of them is gone.
    /// - Parameter next: the number that the next new frame will have.
    package func from(_ sequence: UInt64, next: UInt64) -> [ByteBuffer]? {
        guard sequence <= next, Int(clamping: next - sequence) <= frames.count else { return nil }
        return Array(frames.suffix(Int(next - sequence)))
    }
}

/// `--lossless`: how far the command may run ahead of the slowest guest.
package struct Pacing {
    /// Above this the command waits, below half of it it goes on, in bytes. Less than the relay's ring (2 MiB), so that a
    /// guest that comes back always finds what it missed.
    package static let window = 1 << 20

    private var sizes = CircularBuffer<Int>()
    private var outstanding = 0
    package private(set) var isReading = true

    package mutating func sent(_ bytes: Int) {
        sizes.append(bytes)
        outstanding += bytes
    }

    /// - Returns: whether to read the command's output, where that changes.
    package mutating func update(slowest: UInt64, newest: UInt64, connected: Bool) -> Bool? {
        let unsettled = Int(clamping: newest - min(slowest, newest))
        while sizes.count > unsettled, let size = sizes.popFirst() { outstanding -= size }
        let wanted = connected && (isReading ? outstanding < Self.window : outstanding < Self.window / 2)
        guard wanted != isReading else { return nil }
        isReading = wanted
        return wanted
    }
}
