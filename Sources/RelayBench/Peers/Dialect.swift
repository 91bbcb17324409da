import NIOCore
import WebSocket

/// How to publish to, and subscribe at, one of the relays that are compared. One value for each connection.
protocol Dialect {
    /// Path and subprotocol of the connection.
    var path: String { get }
    var subprotocol: String { get }
    /// Whether the connection is ready as soon as it is open: nobody says so where this is true.
    var isReadyWhenOpen: Bool { get }
    /// What the connection says first.
    mutating func opened() -> [Outgoing]
    /// What it says first after its connection was lost; as before where the relay does not resume.
    mutating func reopened() -> [Outgoing]
    /// Reads one message.
    mutating func received(_ message: WebSocketMessage) throws -> [Incoming]
    /// Publishes to everybody.
    mutating func publish(_ payload: ByteBuffer) -> Outgoing
}

extension Dialect {
    var isReadyWhenOpen: Bool { false }

    mutating func reopened() -> [Outgoing] { opened() }
}

struct Outgoing {
    let opcode: WebSocketOpcode
    let bytes: ByteBuffer

    static func text(_ text: String) -> Outgoing { Outgoing(opcode: .text, bytes: ByteBuffer(string: text)) }
    static func binary(_ bytes: ByteBuffer) -> Outgoing { Outgoing(opcode: .binary, bytes: bytes) }
}

enum Incoming {
    /// The connection is ready: it may publish, or will get what is published from now on.
    case ready
    /// A published payload.
    case delivery(ByteBuffer)
    /// To be answered.
    case reply(Outgoing)
}

struct LoadError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Which side of the relay a connection is on.
enum Role: Equatable { case publisher, subscriber }
