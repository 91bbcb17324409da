import COpenSSL
import NIOCore

/// The buffers between OpenSSL and the socket: a BIO that reads from one `ByteBuffer` and appends to another.
///
/// OpenSSL's own memory BIO would copy all bytes once more in both directions.
final class CiphertextBuffers {
    /// Bytes received and not yet read by OpenSSL.
    private var inbound = ByteBuffer()
    /// Bytes written by OpenSSL and not yet sent.
    private var outbound = ByteBuffer()

    /// Creates a BIO over these buffers. It holds no reference: the owner keeps both, and frees the BIO first (by
    /// freeing its SSL).
    /// - Throws: ``TLSError`` if memory allocation fails.
    func makeBIO() throws(TLSError) -> OpaquePointer {
        guard let method = Self.method.pointer, let bio = BIO_new(method) else { throw .last(.failed, "no BIO") }
        BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
        BIO_set_init(bio, 1)
        return bio
    }

    func append(_ bytes: ByteBuffer) {
        if inbound.readableBytes == 0 { inbound = bytes } else { inbound.writeImmutableBuffer(bytes) }
    }

    /// The number of received bytes that OpenSSL has not read. Less than one record after OpenSSL has asked for more.
    var waitingBytes: Int { inbound.readableBytes }

    /// Releases the storage of bytes that were read.
    func releaseRead() {
        if inbound.readableBytes == 0 { inbound = ByteBuffer() }
    }

    /// Reserves capacity before a known number of bytes is encrypted.
    func reserve(_ bytes: Int) { outbound.reserveCapacity(minimumWritableBytes: bytes) }

    func takeOutbound() -> ByteBuffer? {
        guard outbound.readableBytes > 0 else { return nil }
        defer { outbound = ByteBuffer() }
        return outbound
    }

    private static func of(_ bio: OpaquePointer?) -> CiphertextBuffers? {
        BIO_get_data(bio).map { Unmanaged<CiphertextBuffers>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Created once and never changed afterwards. Sending the pointer between threads needs no more than that.
    private struct Method: @unchecked Sendable { let pointer: OpaquePointer? }

    private static let method: Method = {
        let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ByteBuffer")
        BIO_meth_set_read(method) { bio, target, count in
            guard let buffers = CiphertextBuffers.of(bio), let target, count > 0 else { return -1 }
            let take = min(Int(count), buffers.inbound.readableBytes)
            guard take > 0 else { return postern_BIO_should_retry_read(bio) }
            buffers.inbound.readWithUnsafeReadableBytes { source in
                // `take` is at most the number of readable bytes, so there is a base address.
                if let base = source.baseAddress {
                    target.update(from: base.assumingMemoryBound(to: CChar.self), count: take)
                }
                return take
            }
            return CInt(take)
        }
        BIO_meth_set_write(method) { bio, source, count in
            guard let buffers = CiphertextBuffers.of(bio), let source, count > 0 else { return -1 }
            buffers.outbound.writeBytes(UnsafeRawBufferPointer(start: source, count: Int(count)))
            return count
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return Method(pointer: method)
    }()
}
