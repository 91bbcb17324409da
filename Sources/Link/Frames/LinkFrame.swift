public import NIOCore

/// The header of every frame of the link: 12 bytes, big-endian. `docs/link-protocol.md` describes each frame byte for byte.
struct LinkFrameHeader: Equatable {
    /// In bytes.
    static let size = 12

    /// One of ``LinkFrameType``, or a type of a newer version.
    var type: UInt8
    var flags: UInt8
    /// 0 for frames about the link itself. The machine's streams are odd, the server's even.
    var stream: UInt32
    /// Length of the payload, in bytes.
    var length: UInt32

    init(_ type: LinkFrameType, stream: UInt32, length: Int) {
        self.type = type.rawValue
        flags = 0
        self.stream = stream
        // All payloads that we send are below 64 KiB + 4.
        self.length = UInt32(truncatingIfNeeded: length)
    }

    /// Reads a header and leaves the payload.
    /// - Returns: nil if fewer than ``size`` bytes are available.
    /// - Throws: ``LinkError`` if reserved bits are set.
    init?(reading bytes: inout ByteBuffer) throws(LinkError) {
        guard
            let (type, flags, reserved, stream, length) = bytes.readMultipleIntegers(
                as: (UInt8, UInt8, UInt16, UInt32, UInt32).self)
        else { return nil }
        guard reserved == 0 else { throw LinkError(.protocolError, "reserved bits of a frame are set") }
        self.type = type
        self.flags = flags
        self.stream = stream
        self.length = length
    }

    func write(into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(type, flags, UInt16(0), stream, length)
    }

    /// If this flag is set, a frame of an unknown type is skipped. Otherwise it ends the link.
    static let mayBeIgnored: UInt8 = 0x80
}

enum LinkFrameType: UInt8 {
    case hello = 1
    case welcome = 2
    case open = 3
    case accept = 4
    case reject = 5
    case data = 6
    case fin = 7
    case reset = 8
    case credit = 9
    case ping = 10
    case pong = 11
    case goAway = 12
    case call = 13
    case answer = 14

    /// The allowed payload lengths, in bytes.
    var lengths: ClosedRange<Int> {
        switch self {
        case .hello: 2...LinkLimits.helloBytes
        case .welcome, .open: 2...LinkLimits.openBytes
        case .accept: 0...0
        case .reject, .goAway: 2...LinkLimits.reasonBytes
        case .data: 0...LinkLimits.dataBytes
        case .fin, .ping, .pong: 8...8
        case .reset: 4...4
        case .credit: 16...16
        // The payload starts with the call's number.
        case .call, .answer: 6...LinkLimits.callBytes + 4
        }
    }

    /// Whether the frame belongs to a stream, and not to the link itself.
    var isOfStream: Bool {
        switch self {
        case .open, .accept, .reject, .data, .fin, .reset, .credit: true
        case .hello, .welcome, .ping, .pong, .goAway, .call, .answer: false
        }
    }
}

/// Limits that both sides of a link enforce.
public enum LinkLimits {
    /// Maximum size of `WELCOME` and `OPEN`, in bytes. It leaves space for additions of later versions.
    public static let openBytes = 16 << 10
    /// `REJECT` and `GOAWAY`, in bytes: a code and a sentence.
    public static let reasonBytes = 1 << 10
    /// Maximum size of one `DATA` frame, in bytes: four TLS records.
    public static let dataBytes = 64 << 10
    /// Maximum size of the JSON of a `CALL` or an `ANSWER`, in bytes.
    public static let callBytes = 64 << 10
    /// Calls that one side may have open at once.
    public static let openCalls = 16
    /// Bytes that a stream may send before it has received any credit from the peer.
    public static let initialCredit = 64 << 10
    /// The smallest grant that is sent on its own, in bytes.
    static let smallestGrant = 4 << 10
    /// How long streams without memory wait before they try again.
    static let starvedPause = TimeAmount.milliseconds(250)
    /// The largest window of a stream, in bytes: 100 ms of delay at 80 MB/s.
    public static let windowBytes = 8 << 20
    /// Bytes that a stream sends ahead of streams that have sent more: a request, a web page, a key press.
    static let youngBytes = 64 << 10
    /// Bytes of one stream that are sent before the next stream has its turn: two TLS records.
    static let turnBytes = 32 << 10
    /// Bytes that may be queued in one stream before its writer is told to stop.
    static let highWater = 128 << 10
    /// Below this many queued bytes, the writer is told to continue.
    static let lowWater = 32 << 10
    /// Maximum size of `HELLO`, in bytes: a token of 2 KiB, and as much again. A connection may send nothing else
    /// before it is identified.
    static let helloBytes = 4 << 10
    /// How long `HELLO` may take.
    public static let helloTime = TimeAmount.seconds(10)
    /// The time of silence after which the peer is pinged.
    static let pingAfter = TimeAmount.seconds(10)
    /// The time of silence after a ping after which the link is dead.
    static let deadAfterPing = TimeAmount.seconds(15)
    /// A stream without progress for this long may be reset if memory is short.
    static let stalledAfter = TimeAmount.seconds(30)
    /// Bytes of control frames that may be queued for a peer that does not read. Above this the link ends.
    static let urgentBytes = 256 << 10
    /// Streams whose reset is not answered yet. Each is an entry of less than 64 bytes.
    static let openResets = 4096
    /// How long a side that refuses a link still reads and drops data, so that the reason arrives.
    public static let refusalTime = TimeAmount.seconds(5)
    /// The highest stream number. After it, the machine opens another link.
    static let lastStream = UInt32(1) << 31 - UInt32(1) << 20
}
