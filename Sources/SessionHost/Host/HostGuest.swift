package import EndToEnd
package import Model
package import Wire

/// The host's state of one guest.
package final class HostGuest {
    package enum Stage {
        /// In the room, but has not proved that it knows a secret.
        case stranger
        /// Has proved a secret, and waits for the host's approval.
        case waiting
        case admitted
    }

    /// A proof in progress: the guest sent a hello and has not answered the host's offer.
    package struct Proof {
        package let handshake: HostHandshake
        package let code: ShareCodeId
        /// The kind of secret that the guest named.
        package let secretKind: UInt8
    }

    package let peerId: String
    package let slot: Slot
    package let username: String
    /// False for a guest without an account, whose identity nobody has checked.
    package let hasAccount: Bool
    package var stage = Stage.stranger
    /// Separate from ``stage``: anybody can send or repeat a hello, and it must not reset what the guest has already proved.
    package var proof: Proof?
    package var pairing: Pairing?
    package var channel: PairwiseChannel?
    package var generation: UInt32 = 0
    /// Counts pairings, so that input of an earlier pairing is not counted for the current one.
    package private(set) var pairings = 0
    /// Bytes of input since the pairing: accepted in order, taken by the shared command, and acknowledged to the guest.
    package var acceptedInput: UInt64 = 0
    package var takenInput: UInt64 = 0
    package var acknowledgedInput: UInt64 = 0
    /// Proofs of this guest that failed.
    package var failedProofs = 0
    /// Proofs that were started, so that the deadline of one is not mistaken for that of the next.
    package var proofs = 0
    /// The guest's name for itself, sent over the confirmed channel.
    package var name: String?
    /// The first epoch whose key the guest may have.
    package var firstEpoch: UInt32 = .max
    package var needsSnapshot = false
    package var isConnected = true
    /// False after the guest's or the host's connection dropped, until the guest rekeys or pairs again. While false, frames from it are
    /// ignored, and it gets no snapshots or epoch keys.
    package var hasRekeyed = true
    /// The last broadcast that the guest has shown; only maintained with `--lossless`.
    package var acknowledged: UInt64 = 0

    package init(peerId: String, slot: Slot, username: String, hasAccount: Bool) {
        self.peerId = peerId
        self.slot = slot
        self.username = username
        self.hasAccount = hasAccount
    }

    /// Starts a new pairing, which counts its input from zero.
    package func pair(_ pairing: Pairing) -> PairwiseChannel {
        self.pairing = pairing
        generation = 0
        pairings += 1
        (acceptedInput, takenInput, acknowledgedInput) = (0, 0, 0)
        let channel = pairing.channel()
        self.channel = channel
        return channel
    }

    package var isAdmitted: Bool { if case .admitted = stage { true } else { false } }

    /// Shown to people: the guest's own name and its account.
    package var title: String {
        if hasAccount { return ownName.map { "\($0) (\(username))" } ?? username }
        return ownName.map { "\($0) (no account)" } ?? "a guest without an account"
    }

    /// The account's name; nil without an account.
    package var account: String? { hasAccount ? username : nil }

    /// The guest's own name, if it differs from its account's name.
    package var ownName: String? { name.flatMap { $0.isEmpty || $0 == username ? nil : $0 } }

    package var permission: Permission { pairing?.permission ?? .read }
}
