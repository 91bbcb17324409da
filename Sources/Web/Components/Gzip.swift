import CZlib
import NIOCore

/// The gzip format (RFC 1952) for data that is in memory as a whole.
enum Gzip {
    /// zlib's default compromise between time and size.
    private static let level: Int32 = 6
    /// The maximum size of decompressed data, in bytes. All data that is decompressed is part of the binary.
    private static let greatest = 16 << 20

    /// The body compressed with gzip. Nil if compression fails.
    static func packed(_ body: ByteBuffer) -> ByteBuffer? {
        var stream = z_stream()
        guard postern_gzip_begin(&stream, level) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let room = Int(deflateBound(&stream, UInt(body.readableBytes)))
        return run(&stream, body, room) { deflate(&$0, Z_FINISH) }
    }

    /// The decompressed content of one gzip member. Nil if it is damaged or larger than ``greatest``.
    static func unpacked(_ body: ByteBuffer) -> ByteBuffer? {
        // RFC 1952, section 2.3.1: the last four bytes are the size of the content.
        guard body.readableBytes > 18,
            let size = body.getInteger(at: body.writerIndex - 4, endianness: .little, as: UInt32.self), size <= greatest
        else { return nil }
        var stream = z_stream()
        guard postern_gunzip_begin(&stream) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        // zlib requires room for a byte even if the content is empty.
        return run(&stream, body, max(Int(size), 1)) { inflate(&$0, Z_FINISH) }
    }

    /// Runs a stream over the whole input. Nil unless it ends within the room.
    private static func run(
        _ stream: inout z_stream, _ body: ByteBuffer, _ room: Int, _ step: (inout z_stream) -> Int32
    ) -> ByteBuffer? {
        var input = Array(body.readableBytesView)
        var out = ByteBuffer()
        var isComplete = false
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { out in
            input.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = out.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(out.count)
                isComplete = step(&stream) == Z_STREAM_END
                return out.count - Int(stream.avail_out)
            }
        }
        return isComplete ? out : nil
    }
}
