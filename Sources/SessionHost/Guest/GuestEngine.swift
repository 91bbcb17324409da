package import EndToEnd
package import Model
package import NIOCore
package import Wire

/// The guest's side of a share as a state machine: events in, actions out, no socket, no terminal, no clock.
///
/// The sequence of a join: `joinAsGuest`, which is acknowledged with a seat; the handshake (``GuestEngine+Handshake``);
/// the host's welcome, an epoch's key and a snapshot; then broadcasts (``GuestEngine+Frames``). A new connection
/// resumes the seat and asks for new keys.
package final class GuestEngine {
    package enum Action: Equatable {
        case text(ClientMessageText)
        case frame(ByteBuffer)
        /// Terminal output that the host has signed.
        case show([UInt8])
        /// The host's window now has this size, and everything shown before is void. A snapshot follows.
        case restart(rows: Int, columns: Int)
        case resize(rows: Int, columns: Int)
        /// One line for the person.
        case status(GuestStatus)
        /// Drop the connection and resume.
        case reconnect
        /// Pause or resume reading of the person's input, so that it does not accumulate here.
        case pace(reading: Bool)
        case finish(GuestEnding)
    }

    /// The end of the share, as signed by the host.
    enum SignedEnd: Equatable { case exited(UInt32), stopped }

    /// A seat in the room that a new connection can resume.
    private struct Seat {
        let resumeToken: String
        /// The missed frames are no longer in the relay's ring, so only the seat is requested.
        var isForSeatOnly = false
    }

    let invitation: ShareInvitation
    let name: String
    /// Nil for a guest without an account.
    private let token: String?
    private var seat: Seat?
    private(set) var sessionId = ""
    var link = GuestLink.joining
    /// Proofs that the host did not confirm, over all handshakes since the last pairing.
    var unconfirmedProofs = 0
    /// Whether the person has seen a screen, in any pairing.
    var hasScreen = false
    /// How the share ended according to the host. It is trusted because the host signed it.
    var signedEnd: SignedEnd?
    var input = GuestInput()
    package private(set) var permission = Permission.read

    package init(invitation: ShareInvitation, token: String?, name: String) {
        self.invitation = invitation
        self.token = token
        self.name = name
    }

    var admitted: GuestLink.Admitted? { link.paired?.admitted }

    package var title: String { admitted?.welcome.title ?? "" }

    // MARK: The connection

    package func opened() -> [Action] {
        link.paired?.keys = .awaitingRekey
        // Frames that waited for a key on the last connection are sent again, or are part of a snapshot.
        if let admitted, !admitted.screen.isAwaited { admitted.screen = .live(WaitingFrames()) }
        if let seat {
            var message = ClientMessageText(type: "resume")
            message.id = .text("resume")
            message.resumeToken = seat.resumeToken
            message.binary = true
            if let admitted, !seat.isForSeatOnly, !admitted.screen.isAwaited {
                message.lastSequence = admitted.opener.lastSequence
            }
            return [.text(message)]
        }
        link = .joining
        var message = ClientMessageText(type: "joinAsGuest")
        message.id = .text("join")
        message.token = token
        message.code = invitation.code.description
        // The protocol requires a key. The handshake uses its own, which the relay cannot replace.
        message.guestPublicKey = "cpace"
        message.binary = true
        return [.text(message)]
    }

    package func closed(code: UInt16?, reason: String) -> [Action] {
        switch code {
        case CloseCode.notAllowed, CloseCode.notSignedIn, CloseCode.noSuchSession, CloseCode.replaced,
            CloseCode.badMessage:
            // What the host signed takes precedence over how the connection ended.
            return [.finish(signedEnd == nil ? .removed(reason) : ending(nil))]
        default:
            interrupt()
            return [.status(.disconnected), .reconnect]
        }
    }

    // MARK: Events of the relay

    package func received(_ message: ServerMessage) -> [Action] {
        switch message.type {
        case .ack: return acknowledged(message)
        case .keyExchange: return message.payload.map(handshake) ?? []
        case .peerDisconnected where message.isHost == true:
            interrupt()
            return [.status(.hostAway)]
        case .peerReturned where message.isHost == true: return greetHost()
        case .warning where message.code == "slow_consumer": return askForSnapshot() + [.status(.skipped)]
        case .sessionEnded: return [.finish(ending(message.reason))]
        default: return []
        }
    }

    /// The relay's reason for the end is not signed. Without the host's signature, output may be missing.
    private func ending(_ reason: String?) -> GuestEnding {
        switch signedEnd {
        case .exited(let status): .ended(status: status)
        case .stopped: .ended(status: nil)
        case nil: .cutShort(reason: reason ?? "no reason given")
        }
    }

    private func acknowledged(_ ack: ServerMessage) -> [Action] {
        let error = ack.error ?? "refused"
        switch ack.id {
        case .text("join"):
            guard ack.success == true, let session = ack.sessionId else {
                // The share ended while this guest was disconnected, and the host had signed its end.
                return [.finish(signedEnd == nil ? .refused(error) : ending(nil))]
            }
            sessionId = session
            permission = ack.permission ?? .read
            seat = ack.resumeToken.map { Seat(resumeToken: $0) }
            return hello()
        case .text("resume"):
            if ack.success == true {
                seat?.isForSeatOnly = false
                return greetHost()
            }
            if let seat, !seat.isForSeatOnly, error == "Resume window passed" {
                // First resume without the missed frames. If the seat is lost, join again.
                self.seat?.isForSeatOnly = true
                admitted?.screen = .awaited
                return opened()
            }
            // The relay lost the seat, and therefore the host no longer knows this guest.
            seat = nil
            return unpair() + opened()
        case .text("hello"), .text("rekey"):
            return ack.success == true ? [] : waitForHost()
        default: return []
        }
    }

    private func waitForHost() -> [Action] {
        if link.paired == nil { link = .waitingForHost }
        return [.status(.waitingForHost)]
    }

    /// Input that is sent now would be lost. The next rekey is answered with the host's count.
    func interrupt() { if link.paired != nil { input.interrupt() } }

    // MARK: The person

    /// Sends it, or keeps it until the host is back.
    package func typed(_ bytes: [UInt8]) -> [Action] {
        guard canType else { return [] }
        let dropped = input.typed(bytes)
        return lose(dropped) + sendInput()
    }

    /// Sends what the host's credit allows. The host accepts nothing before its welcome.
    func sendInput() -> [Action] {
        var actions: [Action] = []
        while let paired = link.paired, paired.admitted != nil, let channel = paired.channel, let bytes = input.next(),
            let frame = try? channel.sealInput(bytes)
        {
            actions.append(.frame(frame))
        }
        return actions + (input.changedPace().map { [.pace(reading: $0)] } ?? [])
    }

    /// Adds to ``lostInput`` and reports it. While that is above 0, ``typed(_:)`` discards new input.
    func lose(_ bytes: Int) -> [Action] {
        let pace = input.changedPace().map { [Action.pace(reading: $0)] } ?? []
        guard bytes > 0 else { return pace }
        lostInput += bytes
        return [.status(.inputLost(bytes: lostInput))] + pace
    }

    /// Counts the host's confirmations of input.
    package internal(set) var confirmations = 0

    /// Bytes that the host has confirmed since the pairing.
    package var confirmedInput: UInt64 { input.confirmed }

    /// Bytes that the host has not confirmed yet.
    package var unconfirmedInput: Int { input.unconfirmedBytes }

    /// Typed bytes that did not arrive and that the person has not confirmed to know of. Until then, no more input is
    /// accepted.
    package private(set) var lostInput = 0

    package var inputIsHeld: Bool { lostInput > 0 }

    /// The person has seen that input was lost, and continues.
    package func continueInput() { lostInput = 0 }

    /// True once the host has admitted this guest, also while the host is away or admits the guest again.
    package var canType: Bool { permission == .control && (admitted != nil || hasScreen) && !inputIsHeld }
}
