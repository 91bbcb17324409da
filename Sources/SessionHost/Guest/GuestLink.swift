import EndToEnd
import NIOCore

/// The progress of a guest with the host. State that exists only from a stage on is stored in that stage.
enum GuestLink {
    /// The relay has not answered the join yet.
    case joining
    /// In the room, while the host is not connected yet.
    case waitingForHost
    case proving(GuestHandshake)
    case paired(Paired)

    var paired: Paired? { if case .paired(let paired) = self { paired } else { nil } }

    /// Both sides have proved that they know the secret.
    final class Paired {
        let pairing: Pairing
        var keys: Keys
        /// Set by the host's welcome: the host has admitted the guest.
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
        /// New keys were requested.
        case rekeying(Pairing.Rekey)
        case channel(PairwiseChannel)
    }

    /// What the host has sent to a guest that it admitted.
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
        /// Broadcasts are not usable before the next snapshot.
        case awaited
        case live(WaitingFrames)

        var isAwaited: Bool { if case .awaited = self { true } else { false } }
    }
}

/// Frames of an epoch whose key has not arrived yet, in their order.
struct WaitingFrames {
    /// Maximum size, in bytes. The key arrives within two messages.
    static let limit = 4 << 20

    private(set) var frames: [ByteBuffer] = []
    private(set) var bytes = 0

    mutating func append(_ frame: ByteBuffer) {
        frames.append(frame)
        bytes += frame.readableBytes
    }
}
