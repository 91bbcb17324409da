public import NIOCore

/// Finds the end of a head in bytes that arrive in pieces.
public struct HeadReader: Sendable {
    /// The maximum length of a head, in bytes.
    public let limit: Int
    /// Bytes that were already searched.
    private var searched = 0

    public init(limit: Int) { self.limit = limit }

    /// - Returns: the head with the empty line at its end, taken from the input; nil until it is whole.
    /// - Throws: ``HTTPMessageError`` `.headTooLarge`.
    public mutating func next(_ input: inout ByteBuffer) throws(HTTPMessageError) -> ByteBuffer? {
        let found = input.withUnsafeReadableBytes { Self.end(in: $0, from: max(0, searched - 3)) }
        guard let found else {
            searched = input.readableBytes
            guard searched <= limit else { throw HTTPMessageError(.headTooLarge, Self.sentence(limit)) }
            return nil
        }
        searched = 0
        guard found <= limit else { throw HTTPMessageError(.headTooLarge, Self.sentence(limit)) }
        return input.readSlice(length: found)
    }

    private static func sentence(_ limit: Int) -> String { "the head is longer than \(limit / 1024) KiB" }

    /// Whether bytes of a head have arrived.
    public var hasBegun: Bool { searched > 0 }

    private static func end(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start + 3
        while index < bytes.count {
            // The last byte decides how far the next candidate is.
            if bytes[index] == Byte.lf {
                if bytes[index - 1] == Byte.cr, bytes[index - 2] == Byte.lf, bytes[index - 3] == Byte.cr {
                    return index + 1
                }
                index += 1
            } else {
                index += bytes[index] == Byte.cr ? 1 : 2
            }
        }
        return nil
    }
}
