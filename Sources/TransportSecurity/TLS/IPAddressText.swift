import NIOCore

/// Checks whether a text is an IP address: certificates and SNI treat addresses and names differently (RFC 6066,
/// section 3).
public enum IPAddressText {
    public static func isAddress(_ text: String) -> Bool { (try? SocketAddress(ipAddress: text, port: 0)) != nil }
}
