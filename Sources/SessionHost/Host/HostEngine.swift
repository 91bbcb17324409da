package import EndToEnd
package import NIOCore
package import Terminal
package import Wire

/// The host's side of a share as a state machine: events in, actions out, no socket, no terminal, no clock.
package final class HostEngine {
    package enum Timer: Hashable {
        /// Start the epoch that joins and leaves have asked for.
        case rotation
        /// Sign what has come since the last signature.
        case signature
        /// Send the snapshots that guests have asked for.
        case snapshots
        /// Forget guests that the relay has not announced on this connection.
        case forget(connection: Int)
        /// A guest's proof must be complete by then.
        case proof(peerId: String, number: Int)
        /// A guest that was announced on this connection must have proved that it knows a secret by then.
        case pairing(peerId: String, connection: Int)
        /// Tell guests how much of their input was taken.
        case inputAcknowledgement
    }

    package enum Action {
        case text(ClientMessageText)
        case frame(ByteBuffer)
        /// Bytes for the shared command; call ``HostEngine/taken(_:)`` when they are written to it.
        case type([UInt8], InputReceipt)
        case start(Timer, milliseconds: Int64)
        case revoke(ShareCodeId)
        /// Stop or go on reading the command's output (`--lossless`).
        case pace(reading: Bool)
        case notify(HostNotice)
    }

    /// Whose input was typed, and how much of it.
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
    /// A person has typed the words before the proof starts: what remains is two round trips, in milliseconds.
    package static let proofTime: Int64 = 30_000
    /// A guest that has a seat and does not prove within this time gives it back, in milliseconds: a client proves at once, over a
    /// line that may be bad.
    package static let pairingTime: Int64 = 30_000
    /// Acknowledgements of input within this time are one message, in milliseconds: below what a person notices.
    package static let inputAcknowledgementDelay: Int64 = 20
    /// The relay announces everybody right behind its answer; far more than that takes, in milliseconds.
    package static let announceTime: Int64 = 2000
    /// A snapshot's output, in bytes; only a screen of pure noise needs more, and then loses scrollback and everything but its characters.
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
    /// The relay has given the seat (back). Before that nothing is sent: it would arrive in front of what is sent again.
    private var isSeated = false
    package var hasSkipped = false
    /// Known guests that the relay has not announced yet on this connection.
    package var unannounced: Set<String> = []
    /// Counts connections, so that the deadline of one's announcements is not taken for that of the next.
    package private(set) var connection = 0
    /// Set by `exited`: the sequence that guests of a lossless share acknowledge before the session ends. Nil before that.
    package private(set) var endSequence: UInt64?
    private var end: BroadcastMessage?
    /// Guests that were removed; they never come back. A few bytes each, and a person removes them by hand.
    package var removed: Set<String> = []

    package init(sessionId: String, codes: [CodeSecrets], options: Options, rows: Int, columns: Int) {
        self.sessionId = sessionId
        self.options = options
        self.codes = Dictionary(uniqueKeysWithValues: codes.map { ($0.code, $0) })
        sealer = BroadcastSealer(sessionId: sessionId)
        epochs = [(sealer.epoch, sealer.epochKey)]
        screen = Screen(rows: rows, columns: columns)
    }

    /// From now on only these let anybody in. Whoever is here stays.
    package func replaceCodes(_ new: [CodeSecrets]) {
        codes = Dictionary(uniqueKeysWithValues: new.map { ($0.code, $0) })
    }

    /// Everybody who has proved a secret, by the order of arrival.
    package var people: [HostGuest] { guests.values.filter { $0.pairing != nil }.sorted { $0.slot < $1.slot } }

    package var admitted: [HostGuest] { guests.values.filter(\.isAdmitted) }

    /// The host's terminal starts with lines that guests must not see (the codes). Their screens start as many lines
    /// lower, so that every row stands where the shared programs think it is.
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

    /// The burst is over: what was sent is signed, so that guests show it. At once after a pause, as when somebody types;
    /// within ``signEvery`` when one burst follows the other: checking a signature costs a guest more than opening 4 KiB.
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

    /// The end makes sense to guests that have what came before it: snapshots that are due are sent now, and missing output is said.
    private func bringUpToDate() -> [Action] {
        let rotated = timers.remove(.rotation) == nil ? [] : rotate()
        return rotated + catchUp() + sendSnapshots(evenIfFull: true)
    }

    private func sayEnd(_ message: BroadcastMessage) -> [Action] {
        let last = admitted.isEmpty ? [] : broadcast(message) + sign()
        (end, endSequence) = (message, sealer.lastSequence)
        return last
    }

    /// Whether guests of a lossless share have yet to say that they have the end.
    package var awaitsConfirmation: Bool {
        guard options.lossless, let endSequence else { return false }
        // A guest that came after the end has nothing to acknowledge before it has a screen.
        return admitted.contains { $0.needsSnapshot || $0.acknowledged < endSequence }
    }

    /// Ends the session; a lossless one when every guest has acknowledged everything.
    package func endWhenConfirmed() -> [Action] {
        guard endSequence != nil, !awaitsConfirmation else { return [] }
        return [.text(ClientMessageText(type: "endSession"))]
    }

    // MARK: The connection

    /// The relay gave the seat back. Whoever is in the room is announced again, and rekeys.
    /// - Parameter fromSequence: the next broadcast that the relay expects; 0 when it has none left and takes all that are
    ///   still here; nil when the numbering starts anew.
    package func connected(fromSequence: UInt64?) -> [Action] {
        canSend = true
        isSeated = true
        connection += 1
        for guest in guests.values {
            guest.isConnected = false
            guest.hasRekeyed = false
            // A proof that the connection interrupted is begun again by the guest, and is no failed one.
            if guest.proof != nil {
                guest.proof = nil
                guest.proofs += 1
            }
        }
        // Who is not announced again has gone while nobody could tell.
        unannounced = Set(guests.keys)
        let announcements = unannounced.isEmpty ? [] : start(.forget(connection: connection), Self.announceTime)
        guard let fromSequence,
            let missing = fromSequence == 0 ? sent.all : sent.from(fromSequence, next: sealer.lastSequence + 1)
        else {
            // The relay knows none of the old frames: everybody goes on from a snapshot.
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
        // The announcements were not complete; they begin anew with the next connection.
        unannounced.removeAll()
        return pace()
    }

    package func uplink(takesMore: Bool) -> [Action] {
        canSend = takesMore && isSeated
        // The last acknowledgement may have come while the socket was full: nothing else would start the command again.
        return (canSend ? catchUp() : []) + pace()
    }

    /// After output was skipped everybody needs a snapshot. The stream says so itself: a snapshot can be lost, or come under keys
    /// that its guest has just replaced, and then nothing else would tell the guest that something is missing.
    package func catchUp() -> [Action] {
        var actions: [Action] = []
        if hasSkipped, !admitted.isEmpty {
            admitted.forEach { $0.needsSnapshot = true }
            actions = broadcast(.skipped) + sign()
        }
        hasSkipped = false
        // Also to who joined while nothing could be sent.
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
            // Abandoned: it counts as a failure (see `forget`), and the seat goes to somebody else.
            guard guest.pairing != nil else { return giveBackSeat(of: guest) }
            // One that proved before keeps what it has.
            guest.proof = nil
            return proofFailed(proof)
        case .pairing(let peerId, let connection):
            // Announced again on the next connection, a guest has its time anew.
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
        // Whoever has no keys yet gets all of them when it rekeys.
        for guest in admitted where guest.hasRekeyed && isSeated {
            guard let channel = guest.channel else { continue }
            actions.append(
                .frame(channel.seal(.epochKey(epoch: sealer.epoch, key: sealer.epochKey), to: guest.slot)))
        }
        return actions + sendSnapshots()
    }

    /// - Parameter evenIfFull: also while the connection takes no more: the share ends.
    package func sendSnapshots(evenIfFull: Bool = false) -> [Action] {
        // A guest whose epoch has not begun gets its snapshot when it does.
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
        // Whoever gets its screen after the end was said has not heard it.
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
