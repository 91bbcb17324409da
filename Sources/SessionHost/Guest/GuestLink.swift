import EndToEnd
import NIOCore

/// How far a guest has come with the host. What exists only from a stage on stands in that stage.
enum GuestLink {
    /// The relay has not answered the join.
    case joining
    /// In the room; the host is not there yet.
    case waitingForHost
    case proving(GuestHandshake)
    case paired(Paired)

    var paired: Paired? { if case .paired(let paired) = self { paired } else { nil } }

    /// Both sides know the secret.
    final class Paired {
        let pairing: Pairing
        var keys: Keys
        /// From the host's welcome on: the host has let the guest in.
        var admitted: Admitted?

        init(_ pairing: Pairing, _ channel: PairwiseChannel) {
            self.pairing = pairing
            keys = .channel(channel)
        }

        var channel: PairwiseChannel? { if case .channel(let channel) = keys { channel } else { nil } }
    }

    /// The keys of one connection.
    enum Keys {
        /// The channel's keys belonged to an earlier connection. A rekey follows.
        case awaitingRekey
        /// New ones were asked for.
        case rekeying(Pairing.Rekey)
        case channel(PairwiseChannel)
    }

    /// What the host has told a guest that it let in.
    final class Admitted {
        var welcome: DirectMessage.Welcome
        var opener: BroadcastOpener
        var screen = Screen.awaited
        /// Bytes shown since the last acknowledgement.
        var unacknowledged = 0

        init(_ welcome: DirectMessage.Welcome, _ opener: BroadcastOpener) {
            self.welcome = welcome
            self.opener = opener
        }
    }

    enum Screen {
        /// Broadcasts make no sense before the next snapshot.
        case awaited
        case live(WaitingFrames)

        var isAwaited: Bool { if case .awaited = self { true } else { false } }
    }
}

/// Frames of an epoch whose key is still on its way, in their order.
struct WaitingFrames {
    /// In bytes: a key is two messages away.
    static let limit = 4 << 20

    private(set) var frames: [ByteBuffer] = []
    private(set) var bytes = 0

    mutating func append(_ frame: ByteBuffer) {
        frames.append(frame)
        bytes += frame.readableBytes
    }
}
