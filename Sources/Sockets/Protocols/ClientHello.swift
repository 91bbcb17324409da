public import NIOCore

/// The contents of a TLS client hello that decide how the connection is handled, read before TLS answers (RFC 8446,
/// section 4.1.2).
public struct ClientHello: Sendable, Equatable {
    /// The server name (RFC 6066, section 3), in lower case. Nil if there is none.
    public var serverName: String?
    /// The protocols that the client supports, in its order of preference (RFC 7301, section 3.1).
    public var protocols: [String]

    public init(serverName: String?, protocols: [String]) {
        self.serverName = serverName
        self.protocols = protocols
    }

    /// The maximum size of a client hello with its records, in bytes. Clients send under 2 KiB, with post-quantum key
    /// shares under 4.
    public static let sizeLimit = 16 << 10

    public enum Result: Sendable, Equatable {
        case hello(ClientHello)
        case needsMore
        /// Not TLS, or not a client hello: TLS answers it with an alert.
        case other
    }

    /// Parses a client hello from the first bytes of a connection, without consuming them.
    public static func read(_ bytes: ByteBuffer) -> Result {
        var records = bytes
        var message = ByteBuffer()
        // A hello may be split over several records (RFC 8446, section 5.1).
        while true {
            guard let header = records.getBytes(at: records.readerIndex, length: min(5, records.readableBytes)) else {
                return .needsMore
            }
            // Content type handshake, and a version 3.x.
            if let type = header.first, type != 22 { return .other }
            if header.count > 1, header[1] != 3 { return .other }
            guard header.count == 5 else { return .needsMore }
            let length = Int(header[3]) << 8 | Int(header[4])
            // A handshake record must not be empty, and no record may be longer than 2^14 (RFC 8446, section 5.1).
            guard (1...1 << 14).contains(length) else { return .other }
            records.moveReaderIndex(forwardBy: 5)
            guard let part = records.readSlice(length: min(length, records.readableBytes)) else { return .needsMore }
            message.writeImmutableBuffer(part)
            if let found = handshake(message) { return found }
            if part.readableBytes < length || records.readableBytes == 0 {
                return bytes.readableBytes >= sizeLimit ? .other : .needsMore
            }
        }
    }

    /// - Returns: nil until the message is complete.
    private static func handshake(_ message: ByteBuffer) -> Result? {
        var message = message
        guard let type = message.readInteger(as: UInt8.self) else { return nil }
        // client_hello
        guard type == 1 else { return .other }
        guard let high = message.readInteger(as: UInt8.self), let low = message.readInteger(as: UInt16.self) else {
            return nil
        }
        let length = Int(high) << 16 | Int(low)
        guard length <= sizeLimit else { return .other }
        guard var body = message.readSlice(length: length) else { return nil }
        return parse(&body).map(Result.hello) ?? .other
    }

    private static func parse(_ body: inout ByteBuffer) -> ClientHello? {
        // legacy_version, random, legacy_session_id, cipher_suites, legacy_compression_methods
        guard body.readSlice(length: 2 + 32) != nil, body.readVector(UInt8.self) != nil,
            body.readVector(UInt16.self) != nil, body.readVector(UInt8.self) != nil
        else { return nil }
        var hello = ClientHello(serverName: nil, protocols: [])
        // TLS 1.2 may end here.
        if body.readableBytes == 0 { return hello }
        guard var extensions = body.readVector(UInt16.self), body.readableBytes == 0 else { return nil }
        while extensions.readableBytes > 0 {
            guard let type = extensions.readInteger(as: UInt16.self), var data = extensions.readVector(UInt16.self)
            else { return nil }
            switch type {
            // server_name
            case 0:
                guard hello.serverName == nil, let name = Self.serverName(&data) else { return nil }
                hello.serverName = name
            // application_layer_protocol_negotiation
            case 16:
                guard hello.protocols.isEmpty, let names = Self.protocols(&data) else { return nil }
                hello.protocols = names
            default: break
            }
        }
        return hello
    }

    private static func serverName(_ data: inout ByteBuffer) -> String? {
        guard var list = data.readVector(UInt16.self), data.readableBytes == 0 else { return nil }
        while let type = list.readInteger(as: UInt8.self) {
            guard let name = list.readVector(UInt16.self) else { return nil }
            // host_name: ASCII without a trailing dot. At most one of each type is allowed.
            if type == 0 {
                let bytes = name.readableBytesView
                guard (1...255).contains(bytes.count), bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
                return String(decoding: bytes, as: UTF8.self).lowercased()
            }
        }
        return nil
    }

    private static func protocols(_ data: inout ByteBuffer) -> [String]? {
        guard var list = data.readVector(UInt16.self), data.readableBytes == 0 else { return nil }
        var names: [String] = []
        while list.readableBytes > 0 {
            guard let name = list.readVector(UInt8.self), name.readableBytes > 0 else { return nil }
            names.append(String(buffer: name))
        }
        return names
    }
}

extension ByteBuffer {
    /// Reads bytes that follow their length.
    fileprivate mutating func readVector<Length: FixedWidthInteger>(_ length: Length.Type) -> ByteBuffer? {
        readLengthPrefixedSlice(as: length)
    }
}
