import COpenSSL

/// The two facts a server needs from a ClientHello before it picks a certificate.
struct ClientHello {
    /// The requested host name (RFC 6066, section 3), in lower case. Nil if there is none or if it is unreadable.
    let serverName: String?
    /// True when the connection is a certificate authority's tls-alpn-01 check (RFC 8737, section 3).
    let isChallenge: Bool

    init(serverName: String?, isChallenge: Bool) {
        self.serverName = serverName
        self.isChallenge = isChallenge
    }

    /// - Parameter ssl: the connection. Valid inside its client-hello callback.
    init(_ ssl: OpaquePointer) {
        serverName = Self.serverName(in: Self.extensionBytes(ssl, type: UInt32(TLSEXT_TYPE_server_name)))
        let wanted = [UInt8(TLSContext.challengeProtocol.utf8.count)] + Array(TLSContext.challengeProtocol.utf8)
        let offered = Self.extensionBytes(
            ssl, type: UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation))
        // RFC 8737: the list holds this one protocol.
        isChallenge = offered.dropFirst(2).elementsEqual(wanted)
    }

    private static func extensionBytes(_ ssl: OpaquePointer, type: UInt32) -> [UInt8] {
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        guard SSL_client_hello_get0_ext(ssl, type, &bytes, &count) == 1, let bytes else { return [] }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    /// `struct { NameType 0; opaque HostName<1..2^16-1> } ServerNameList<1..2^16-1>` (RFC 6066, section 3).
    static func serverName(in bytes: [UInt8]) -> String? {
        guard bytes.count > 5, bytes[2] == 0 else { return nil }
        let length = Int(bytes[3]) << 8 | Int(bytes[4])
        // 255 is the maximum length of a DNS name (RFC 1035, section 2.3.4).
        guard (1...255).contains(length), bytes.count >= 5 + length else { return nil }
        let name = bytes[5..<5 + length]
        guard name.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        return String(decoding: name, as: UTF8.self).lowercased()
    }
}
