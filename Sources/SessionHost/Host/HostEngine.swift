package import EndToEnd
package import NIOCore
package import Terminal
package import Wire

/// The host's side of a share as a state machine: events in, actions out, no socket, no terminal, no clock.
package final class HostEngine {
    package enum Timer: Hashable {
        /// Start the epoch that joins and leaves require.
        case rotation
        /// Sign what was sent since the last signature.
        case signature
        /// Send the snapshots that guests have requested.
        case snapshots
        /// Forget guests that the relay has not announced on this connection.
        case forget(connection: Int)
        /// The deadline of a guest's proof.
        case proof(peerId: String, number: Int)
        /// The deadline by which a guest that was announced on this connection must have proved a secret.
        case pairing(peerId: String, connection: Int)
        /// Tell guests how much of their input was taken.
        case inputAcknowledgement
    }

    package enum Action {
        case text(ClientMessageText)
        case frame(ByteBuffer)
        /// Bytes for the shared command. Call ``HostEngine/taken(_:)`` once they are written to it.
        case type([UInt8], InputReceipt)
        case start(Timer, milliseconds: Int64)
        case revoke(ShareCodeId)
        /// Pause or resume reading of the command's output (`--lossless`).
        case pace(reading: Bool)
        case notify(HostNotice)
    }

    /// The guest whose input was typed, and the number of bytes.
    package struct InputReceipt: Equatable {
        package let peerId: String
        package let pairing: Int
        package let bytes: Int
    }

    package struct Options {
        package var title = ""
        package var approve = false
        package var lossless = false

        package init(title: String = "", approve: Bool = false, lossless: Bool = false) {
            self.title = title
            self.approve = approve
            self.lossless = lossless
        }
    }

    /// Joins and leaves within this time share an epoch, in milliseconds.
    package static let rotationDelay: Int64 = 50
    /// Between two signatures while output flows, in milliseconds; less than a frame of a 60 Hz screen.
    package static let signEvery: Int64 = 5
    /// A guest gets at most one snapshot in this time, in milliseconds.
    package static let snapshotDelay: Int64 = 100
    /// The time for a proof. The person has typed the words before it starts, so it takes two round trips. In
    /// milliseconds.
    package static let proofTime: Int64 = 30_000
    /// A guest with a seat that does not prove a secret within this time loses the seat, in milliseconds. Clients prove
    /// at once, but the connection may be bad.
    package static let pairingTime: Int64 = 30_000
    /// Acknowledgements of input within this time are one message, in milliseconds: below what a person notices.
    package static let inputAcknowledgementDelay: Int64 = 20
    /// The time for the relay's announcements, in milliseconds. It sends them right after its answer, so this is ample.
    package static let announceTime: Int64 = 2000
    /// Maximum size of a snapshot's output, in bytes. Only a screen of pure noise needs more; it then loses its
    /// scrollback and everything but its characters.
    package static let snapshotBytes = 256 << 10
    /// Epoch keys kept for guests that were away.
    package static let epochsKept = 64

    package let sessionId: String
    package let options: Options
    package var codes: [ShareCodeId: CodeSecrets]
    package var guests: [String: HostGuest] = [:]
    package var sealer: BroadcastSealer
    package var epochs: [(epoch: UInt32, key: [UInt8])]
    package var sent = SentFrames()
    package var pacing = Pacing()
    package private(set) var screen: Screen
    package var timers: Set<Timer> = []
    /// True while the host is seated and the socket is writable. While false, output is skipped unless the share is lossless; guests get a
    /// snapshot later.
    package var canSend = false
    /// Whether the relay has given the seat (back). Before that nothing is sent, because it would arrive before the
    /// frames that are sent again.
    private var isSeated = false
    package var hasSkipped = false
    /// Known guests that the relay has not announced on this connection yet.
    package var unannounced: Set<String> = []
    /// Counts connections, so that the announcement deadline of one is not mistaken for that of the next.
    package private(set) var connection = 0
    /// Set by `exited`: the sequence that guests of a lossless share acknowledge before the session ends. Nil before that.
    package private(set) var endSequence: UInt64?
    private var end: BroadcastMessage?
    /// Removed guests, which can never return. Each takes a few bytes, and only a person removes guests, so there are
    /// few.
    package var removed: Set<String> = []

    package init(sessionId: String, codes: [CodeSecrets], options: Options, rows: Int, columns: Int) {
        self.sessionId = sessionId
        self.options = options
        self.codes = Dictionary(uniqueKeysWithValues: codes.map { ($0.code, $0) })
        sealer = BroadcastSealer(sessionId: sessionId)
        epochs = [(sealer.epoch, sealer.epochKey)]
        screen = Screen(rows: rows, columns: columns)
    }

    /// From now on only these codes admit guests. Guests that have joined stay.
    package func replaceCodes(_ new: [CodeSecrets]) {
        codes = Dictionary(uniqueKeysWithValues: new.map { ($0.code, $0) })
    }

    /// Everybody who has proved a secret, in order of arrival.
    package var people: [HostGuest] { guests.values.filter { $0.pairing != nil }.sorted { $0.slot < $1.slot } }

    package var admitted: [HostGuest] { guests.values.filter(\.isAdmitted) }

    /// The host's terminal starts with lines that guests must not see (the codes). The guests' screens start the same
    /// number of lines lower, so that every row is where the shared programs expect it.
    package func reserveLines(for banner: String) {
        var measured = Screen(rows: screen.rows, columns: screen.columns)
        measured.feed(Array(banner.utf8))
        screen.feed(Array(String(repeating: "\n", count: measured.cursor.row).utf8))
    }

    // MARK: The command

    /// A burst of the command's output.
    package func output(_ bytes: [UInt8]) -> [Action] {
        screen.feed(bytes)
        guard !admitted.isEmpty else { return [] }
        guard canSend || options.lossless else {
            hasSkipped = true
            return []
        }
        var actions: [Action] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            actions += broadcast(.output(Array(rest.prefix(WireLimits.outputChunkBytes))))
            rest = rest.dropFirst(WireLimits.outputChunkBytes)
        }
        return actions + pace()
    }

    /// Called when a burst is over. Signs what was sent, so that guests show it. This happens at once after a pause,
    /// for example when somebody types, and within ``signEvery`` during consecutive bursts: checking a signature costs
    /// a guest more than opening 4 KiB.
    package func outputPaused() -> [Action] {
        guard sealer.hasUnsigned, !timers.contains(.signature) else { return [] }
        return sign() + start(.signature, Self.signEvery)
    }

    package func sign() -> [Action] { frames(sealer.sign()) }

    package func resized(rows: Int, columns: Int) -> [Action] {
        screen.resize(rows: rows, columns: columns)
        guard !admitted.isEmpty else { return [] }
        guard canSend || options.lossless else {
            hasSkipped = true
            return []
        }
        return broadcast(.size(rows: UInt16(screen.rows), columns: UInt16(screen.columns))) + sign()
    }

    /// Only the signed last message tells guests that they have everything.
    package func exited(status: Int32) -> [Action] {
        let last = bringUpToDate() + sayEnd(.exited(status: UInt32(bitPattern: status)))
        return last + endWhenConfirmed()
    }

    /// The person ends the sharing, and not the command.
    package func stopped() -> [Action] {
        let last = bringUpToDate() + sayEnd(.stopped)
        endSequence = nil
        return last + [.text(ClientMessageText(type: "endSession"))]
    }

    /// The end is usable only for guests that have everything before it. Sends the snapshots that are due, and reports
    /// missing output.
    private func bringUpToDate() -> [Action] {
        let rotated = timers.remove(.rotation) == nil ? [] : rotate()
        return rotated + catchUp() + sendSnapshots(evenIfFull: true)
    }

    private func sayEnd(_ message: BroadcastMessage) -> [Action] {
        let last = admitted.isEmpty ? [] : broadcast(message) + sign()
        (end, endSequence) = (message, sealer.lastSequence)
        return last
    }

    /// Whether guests of a lossless share have not yet confirmed the end.
    package var awaitsConfirmation: Bool {
        guard options.lossless, let endSequence else { return false }
        // A guest that came after the end has nothing to acknowledge before it has a screen.
        return admitted.contains { $0.needsSnapshot || $0.acknowledged < endSequence }
    }

    /// Ends the session; for a lossless share, once every guest has acknowledged everything.
    package func endWhenConfirmed() -> [Action] {
        guard endSequence != nil, !awaitsConfirmation else { return [] }
        return [.text(ClientMessageText(type: "endSession"))]
    }

    // MARK: The connection

    /// The relay gave the seat back. Guests in the room are announced again, and rekey.
    /// - Parameter fromSequence: the next broadcast that the relay expects; 0 if it has none left and accepts all that
    ///   the host still has; nil if the numbering restarts.
    package func connected(fromSequence: UInt64?) -> [Action] {
        canSend = true
        isSeated = true
        connection += 1
        for guest in guests.values {
            guest.isConnected = false
            guest.hasRekeyed = false
            // If the connection interrupted a proof, the guest starts it again. It does not count as failed.
            if guest.proof != nil {
                guest.proof = nil
                guest.proofs += 1
            }
        }
        // A guest that is not announced again has left while the host was away.
        unannounced = Set(guests.keys)
        let announcements = unannounced.isEmpty ? [] : start(.forget(connection: connection), Self.announceTime)
        guard let fromSequence,
            let missing = fromSequence == 0 ? sent.all : sent.from(fromSequence, next: sealer.lastSequence + 1)
        else {
            // The relay has none of the old frames, so every guest continues from a snapshot.
            sent.removeAll()
            admitted.forEach { $0.needsSnapshot = true }
            return announcements + pace() + endWhenConfirmed()
        }
        return missing.map { .frame($0) } + catchUp() + announcements + pace() + endWhenConfirmed()
    }

    /// False while the command waits for guests (`--lossless`).
    package var isReading: Bool { pacing.isReading }

    package func disconnected() -> [Action] {
        canSend = false
        isSeated = false
        // The announcements were incomplete. They restart with the next connection.
        unannounced.removeAll()
        return pace()
    }

    package func uplink(takesMore: Bool) -> [Action] {
        canSend = takesMore && isSeated
        // The last acknowledgement may have arrived while the socket was full. Nothing else would resume the command.
        return (canSend ? catchUp() : []) + pace()
    }

    /// After skipped output every guest needs a snapshot. The stream itself announces this: if a snapshot is lost, or
    /// arrives under keys that its guest has just replaced, nothing else would tell the guest that output is missing.
    package func catchUp() -> [Action] {
        var actions: [Action] = []
        if hasSkipped, !admitted.isEmpty {
            admitted.forEach { $0.needsSnapshot = true }
            actions = broadcast(.skipped) + sign()
        }
        hasSkipped = false
        // Also to guests that joined while nothing could be sent.
        return actions + sendSnapshots()
    }

    // MARK: Timers

    package func fired(_ timer: Timer) -> [Action] {
        timers.remove(timer)
        switch timer {
        case .rotation: return rotate()
        case .signature: return outputPaused()
        case .snapshots: return sendSnapshots()
        case .forget(let connection):
            guard connection == self.connection else { return [] }
            let gone = unannounced
            unannounced.removeAll()
            return gone.flatMap { forget($0) }
        case .proof(let peerId, let number):
            guard let guest = guests[peerId], let proof = guest.proof, guest.proofs == number else { return [] }
            // The proof was abandoned: it counts as a failure (see `forget`), and the seat becomes free.
            guard guest.pairing != nil else { return giveBackSeat(of: guest) }
            // A guest that has proved a secret before stays paired.
            guest.proof = nil
            return proofFailed(proof)
        case .pairing(let peerId, let connection):
            // A guest that is announced again on the next connection gets the full time again.
            guard isSeated, connection == self.connection, let guest = guests[peerId], guest.pairing == nil else {
                return []
            }
            return giveBackSeat(of: guest)
        case .inputAcknowledgement: return acknowledgeInput()
        }
    }

    package func start(_ timer: Timer, _ milliseconds: Int64) -> [Action] {
        timers.insert(timer).inserted ? [.start(timer, milliseconds: milliseconds)] : []
    }

    package func rotate() -> [Action] {
        var actions = frames(sealer.startEpoch())
        epochs.append((sealer.epoch, sealer.epochKey))
        if epochs.count > Self.epochsKept { epochs.removeFirst() }
        // Guests without current keys get all epoch keys when they rekey.
        for guest in admitted where guest.hasRekeyed && isSeated {
            guard let channel = guest.channel else { continue }
            actions.append(
                .frame(channel.seal(.epochKey(epoch: sealer.epoch, key: sealer.epochKey), to: guest.slot)))
        }
        return actions + sendSnapshots()
    }

    /// - Parameter evenIfFull: also send while the socket is full, because the share ends.
    package func sendSnapshots(evenIfFull: Bool = false) -> [Action] {
        // A guest whose epoch has not started gets its snapshot when it does.
        let waiting = admitted.filter { $0.needsSnapshot && $0.hasRekeyed && $0.firstEpoch <= sealer.epoch }
        guard !waiting.isEmpty, isSeated, canSend || options.lossless || evenIfFull else {
            return []
        }
        var actions = sign()
        let output = screen.isPristine ? [] : screen.snapshot(within: Self.snapshotBytes)
        let snapshot = DirectMessage.Snapshot(
            sequence: sealer.lastSequence, runningHash: sealer.runningHash, rows: UInt16(screen.rows),
            columns: UInt16(screen.columns), output: output)
        for guest in waiting {
            guest.needsSnapshot = false
            guest.acknowledged = max(guest.acknowledged, sealer.lastSequence)
            if let channel = guest.channel { actions.append(.frame(channel.seal(.snapshot(snapshot), to: guest.slot))) }
        }
        // Guests that get their screen after the end was announced have not received the end.
        if let end, endSequence != nil { actions += sayEnd(end) }
        return actions + pace()
    }

    package func broadcast(_ message: BroadcastMessage) -> [Action] { frames(sealer.seal(message)) }

    package func frames(_ sealed: [ByteBuffer]) -> [Action] {
        for frame in sealed {
            sent.append(frame)
            if options.lossless { pacing.sent(frame.readableBytes) }
        }
        return isSeated ? sealed.map { .frame($0) } : []
    }

    package func pace() -> [Action] {
        guard options.lossless else { return [] }
        let slowest = admitted.map(\.acknowledged).min() ?? sealer.lastSequence
        return pacing.update(slowest: slowest, newest: sealer.lastSequence, connected: canSend).map {
            [.pace(reading: $0)]
        } ?? []
    }
}
