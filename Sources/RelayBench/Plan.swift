import ArgumentParser
import Client

/// What is to be done to which relay.
struct Plan: Sendable {
    enum Mode: String, ExpressibleByArgument, Sendable {
        /// As fast as the relay delivers, with a number of messages under way.
        case throughput
        /// At a rate, to see how long each message takes.
        case latency
        /// Connections that say nothing.
        case idle
        /// All come back after a restart (``Storm``).
        case storm
        /// TLS handshakes and nothing else.
        case handshakes
    }

    enum Peer: String, ExpressibleByArgument, Sendable, CaseIterable { case postern, nats, mqtt, bare }

    /// Where a room is: for Postern a session and a code, for the others a name.
    struct Room: Sendable {
        let session: String
        let code: String
    }

    let address: ServerAddress
    let peer: Peer
    let token: String
    let rooms: [Room]
    let mode: Mode
    let guests: Int
    /// Of a payload.
    let bytes: Int
    /// Messages to publish, per room.
    let frames: Int
    /// How long to publish instead; 0 where ``frames`` counts.
    let seconds: Int
    /// Messages under way, per room.
    let window: Int
    /// Messages per second, per room.
    let rate: Int
    /// Guests of each room that stop reading when the messages begin.
    let stalled: Int
    let relay: ProcessorTime

    func dialect(_ role: Role, _ room: Room, _ number: Int) -> any Dialect {
        switch peer {
        case .postern: PosternDialect(role: role, token: token, session: room.session, code: room.code)
        case .nats: NATSDialect(role: role, subject: room.session)
        case .mqtt: MQTTDialect(role: role, topic: room.session, client: "\(room.session)-\(role)-\(number)")
        case .bare: BareDialect(role: role, channel: room.session)
        }
    }
}
