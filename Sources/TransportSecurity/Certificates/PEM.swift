import COpenSSL

/// Reads and writes OpenSSL objects as text with a memory BIO.
enum PEM {
    static func read<Value>(_ text: String, _ body: (OpaquePointer) -> Value?) -> Value? {
        let bytes = Array(text.utf8)
        let bio = BIO_new(BIO_s_mem())
        guard let bio else { return nil }
        defer { BIO_free(bio) }
        guard BIO_write(bio, bytes, CInt(clamping: bytes.count)) == CInt(clamping: bytes.count) else { return nil }
        return body(bio)
    }

    static func write(_ body: (OpaquePointer) -> CInt) -> String? {
        guard let bio = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(bio) }
        guard body(bio) == 1 else { return nil }
        var start: UnsafeMutablePointer<CChar>?
        let count = postern_BIO_get_mem_data(bio, &start)
        guard let start, count > 0 else { return nil }
        return start.withMemoryRebound(to: UInt8.self, capacity: count) {
            String(decoding: UnsafeBufferPointer(start: $0, count: count), as: UTF8.self)
        }
    }
}
