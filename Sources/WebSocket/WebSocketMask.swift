import NIOCore

/// The four bytes that a client's payload is combined with (RFC 6455, section 5.3). Masking and unmasking are the same.
struct WebSocketMask: Equatable {
    /// In memory order.
    let key: UInt32

    init(_ key: UInt32) { self.key = key }

    /// Copies a payload to the end of a buffer and unmasks it in the process. This takes one pass over the bytes, and
    /// the socket's buffer stays unchanged and can be reused for the next read.
    func append(_ payload: ByteBuffer, to target: inout ByteBuffer) {
        let count = payload.readableBytes
        guard count > 0 else { return }
        target.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            payload.withUnsafeReadableBytes { source in
                // Both hold at least `count` > 0 bytes, so that both have a base address.
                if let from = source.baseAddress, let to = target.baseAddress { copy(from, to, count) }
            }
            return count
        }
    }

    /// Processes 64 bytes at a time while possible: four vector registers, which compilers use well without further
    /// hints.
    func copy(_ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer, _ count: Int) {
        let wide = SIMD16<UInt32>(repeating: key)
        var index = 0
        while index &+ 64 <= count {
            let block = source.loadUnaligned(fromByteOffset: index, as: SIMD16<UInt32>.self)
            target.storeBytes(of: block ^ wide, toByteOffset: index, as: SIMD16<UInt32>.self)
            index &+= 64
        }
        while index &+ 4 <= count {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt32.self)
            target.storeBytes(of: word ^ key, toByteOffset: index, as: UInt32.self)
            index &+= 4
        }
        withUnsafeBytes(of: key) { key in
            while index < count {
                let byte = source.load(fromByteOffset: index, as: UInt8.self) ^ key[index & 3]
                target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
                index &+= 1
            }
        }
    }
}
