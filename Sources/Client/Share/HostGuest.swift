import EndToEnd
import Model
import Wire

/// What the host knows of one guest.
final class HostGuest {
    enum Stage {
        /// In the room; has not shown that it knows a secret.
        case stranger
        case proving(HostHandshake, CodeName)
        /// Knows the secret; waits for the host's yes.
        case waiting
        case admitted
    }

    let peerId: String
    let slot: Slot
    let username: String
    var stage = Stage.stranger
    var pairing: Pairing?
    var channel: PairwiseChannel?
    var generation: UInt32 = 0
    /// Counts pairings, so that what was typed under an earlier one is not taken for this one's.
    private(set) var pairings = 0
    /// Bytes of input since the pairing: accepted in order, taken by the shared command, and acknowledged to the guest.
    var acceptedInput: UInt64 = 0
    var takenInput: UInt64 = 0
    var acknowledgedInput: UInt64 = 0
    /// Proofs begun, so that the deadline of one is not taken for that of the next.
    var proofs = 0
    /// As the guest calls itself, over the confirmed channel.
    var name: String?
    /// The first epoch whose key it may have.
    var firstEpoch: UInt32 = .max
    var needsSnapshot = false
    var isConnected = true
    /// It has the keys of this connection: only then can it open what is sent to it alone. A guest that is announced and has
    /// not come back yet would lose a snapshot without noticing.
    var hasRekeyed = true
    /// The last broadcast it has shown; only kept with `--lossless`.
    var acknowledged: UInt64 = 0

    init(peerId: String, slot: Slot, username: String) {
        self.peerId = peerId
        self.slot = slot
        self.username = username
    }

    /// A new pairing counts its input from zero.
    func pair(_ pairing: Pairing) -> PairwiseChannel {
        self.pairing = pairing
        generation = 0
        pairings += 1
        (acceptedInput, takenInput, acknowledgedInput) = (0, 0, 0)
        let channel = pairing.channel()
        self.channel = channel
        return channel
    }

    var isAdmitted: Bool { if case .admitted = stage { true } else { false } }

    /// For people: the name it gave, and the account it came with.
    var title: String { ownName.map { "\($0) (\(username))" } ?? username }

    /// What it calls itself, where that is something else than its account's name.
    var ownName: String? { name.flatMap { $0.isEmpty || $0 == username ? nil : $0 } }

    var permission: Permission { pairing?.permission ?? .read }
}
