import Glibc
import NIOCore
import NIOPosix
import TransportSecurity

/// A network error in words that users understand.
public enum NetworkError {
    public static func sentence(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return sentence(first.error) }
            return error.dnsAError != nil || error.dnsAAAAError != nil
                ? "the host name cannot be resolved" : "no connection"
        case let error as IOError: return String(cString: strerror(error.errnoCode)).lowercased()
        case let error as TLSError: return error.message
        case OutboundError.timeout: return "no response within 15 s"
        case OutboundError.tooLong: return "the response is too long"
        case OutboundError.proxy(let line): return "the proxy responded: \(line)"
        case OutboundError.address: return "the host has an address that is not public"
        case is SocketAddressError: return "the host name cannot be resolved"
        case let error as ChannelError where error == .inputClosed || error == .ioOnClosedChannel || error == .eof:
            return "the connection was closed before a response arrived"
        case OutboundError.closed: return "the connection was closed before a response arrived"
        case ChannelError.connectTimeout: return "the connection timed out"
        default: return "\(error)"
        }
    }
}
