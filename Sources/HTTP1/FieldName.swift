/// The fields that affect how a message is forwarded. All others are forwarded unchanged.
public enum FieldName: UInt8, Sendable, CaseIterable {
    case other
    /// Any `X-Postern-…` field, which only this server may set.
    case ours
    case accept
    case authorization
    case connection
    case contentLength
    case contentType
    case cookie
    case expect
    case forwarded
    case host
    case keepAlive
    case location
    case proxyAuthenticate
    case proxyAuthorization
    case proxyConnection
    case secFetchSite
    case secWebSocketAccept
    case secWebSocketKey
    case setCookie
    case te
    case trailer
    case transferEncoding
    case upgrade
    case wwwAuthenticate
    case xForwardedFor
    case xForwardedHost
    case xForwardedProto

    /// In lower case.
    var text: StaticString? {
        switch self {
        case .other, .ours: nil
        case .accept: "accept"
        case .authorization: "authorization"
        case .connection: "connection"
        case .contentLength: "content-length"
        case .contentType: "content-type"
        case .cookie: "cookie"
        case .expect: "expect"
        case .forwarded: "forwarded"
        case .host: "host"
        case .keepAlive: "keep-alive"
        case .location: "location"
        case .proxyAuthenticate: "proxy-authenticate"
        case .proxyAuthorization: "proxy-authorization"
        case .proxyConnection: "proxy-connection"
        case .secFetchSite: "sec-fetch-site"
        case .secWebSocketAccept: "sec-websocket-accept"
        case .secWebSocketKey: "sec-websocket-key"
        case .setCookie: "set-cookie"
        case .te: "te"
        case .trailer: "trailer"
        case .transferEncoding: "transfer-encoding"
        case .upgrade: "upgrade"
        case .wwwAuthenticate: "www-authenticate"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedProto: "x-forwarded-proto"
        }
    }

    /// Whether the field belongs to one connection and not to the message (RFC 9110, section 7.6.1).
    public var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization, .te, .trailer,
            .transferEncoding, .upgrade:
            true
        default: false
        }
    }

    private static let byLength: [[FieldName]] = {
        var table = [[FieldName]](repeating: [], count: 32)
        for name in allCases { if let text = name.text { table[text.utf8CodeUnitCount].append(name) } }
        return table
    }()

    private static let ourPrefix: StaticString = "x-postern-"

    /// - Parameter bytes: a field's name in any case.
    static func of(_ bytes: UnsafeRawBufferPointer) -> FieldName {
        // CGI and its successors write `-` as `_`: for them, a name with `_` is the same field.
        if bytes.count > ourPrefix.utf8CodeUnitCount,
            isEqual(bytes, ourPrefix, count: ourPrefix.utf8CodeUnitCount, takesUnderscores: true)
        {
            return .ours
        }
        for name in [FieldName.forwarded, .xForwardedFor, .xForwardedHost, .xForwardedProto] {
            guard let text = name.text, text.utf8CodeUnitCount == bytes.count else { continue }
            if isEqual(bytes, text, count: bytes.count, takesUnderscores: true) { return name }
        }
        guard bytes.count < byLength.count else { return .other }
        for name in byLength[bytes.count] {
            if let text = name.text, isEqual(bytes, text, count: bytes.count) { return name }
        }
        return .other
    }

    /// - Parameter text: in lower case.
    private static func isEqual(
        _ bytes: UnsafeRawBufferPointer, _ text: StaticString, count: Int, takesUnderscores: Bool = false
    ) -> Bool {
        let wanted = UnsafeRawBufferPointer(start: text.utf8Start, count: count)
        for index in 0..<count where lowercased(bytes[index]) != wanted[index] {
            guard takesUnderscores, bytes[index] == UInt8(ascii: "_"), wanted[index] == UInt8(ascii: "-") else {
                return false
            }
        }
        return true
    }
}

func lowercased(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
