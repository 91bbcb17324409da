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
            return error.dnsAError != nil || error.dnsAAAAError != nil ? "the name is not known" : "no connection"
        case let error as IOError: return String(cString: strerror(error.errnoCode)).lowercased()
        case let error as TLSError: return error.message
        case OutboundError.timeout: return "no answer within 15 s"
        case OutboundError.tooLong: return "the answer is too long"
        case OutboundError.proxy(let line): return "the proxy answered: \(line)"
        case is SocketAddressError: return "the name is not known"
        case let error as ChannelError where error == .inputClosed || error == .ioOnClosedChannel || error == .eof:
            return "the connection was closed before an answer came"
        case OutboundError.closed: return "the connection was closed before an answer came"
        case ChannelError.connectTimeout: return "the connection timed out"
        default: return "\(error)"
        }
    }
}
