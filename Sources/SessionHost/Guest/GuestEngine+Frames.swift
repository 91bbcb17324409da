import EndToEnd
package import NIOCore
import Wire

/// Frames from the host: to this guest alone, and to all.
extension GuestEngine {
    /// An acknowledgement is sent at least after this many shown bytes: a sixteenth of the host's window.
    private static let acknowledgeEvery = 64 << 10

    package func received(_ frame: ByteBuffer) -> [Action] {
        guard let header = try? FrameHeader(peeking: frame) else { return [] }
        do {
            if header.kind == .broadcast { return try broadcast(frame) }
            guard let paired = link.paired, let channel = paired.channel else { return [] }
            return try direct(channel.openFromHost(frame), paired)
        } catch EndToEndError.staleGeneration {
            return []
        } catch EndToEndError.gap {
            // The relay drops what is queued for a slow guest, including snapshots, so a gap is not necessarily an
            // attack. New keys and a snapshot recover from it.
            admitted?.screen = .awaited
            return startRekey()
        } catch {
            return [.finish(.tampering("\(error)"))]
        }
    }

    private func direct(_ message: DirectMessage, _ paired: GuestLink.Paired) throws -> [Action] {
        switch message {
        case .welcome(let welcome):
            if let admitted = paired.admitted {
                admitted.welcome = welcome
            } else {
                let opener = try BroadcastOpener(sessionId: sessionId, signingKey: welcome.signingKey)
                paired.admitted = GuestLink.Admitted(welcome, opener)
            }
            // Sends what was typed while the host admitted this guest again.
            return sendInput()
        case .epochKey(let epoch, let key):
            admitted?.opener.addEpoch(epoch, key: key)
            return try retryWaiting() + (keyCanStillArrive ? [] : askForSnapshot())
        case .snapshot(let snapshot):
            // The host sends the snapshot after its welcome.
            guard let admitted = paired.admitted else { return [] }
            admitted.opener.reset(to: snapshot)
            if admitted.screen.isAwaited { admitted.screen = .live(WaitingFrames()) }
            admitted.unacknowledged = 0
            // Not earlier: the person needs to see a screen before typing into it.
            let joined: [Action] = [.status(hasScreen ? .back : .joined(title: title))]
            hasScreen = true
            return joined + [.restart(rows: Int(snapshot.rows), columns: Int(snapshot.columns))]
                + (snapshot.output.isEmpty ? [] : [.show(snapshot.output)]) + (try retryWaiting())
        case .approvalPending: return [.status(.waitingForApproval)]
        case .inputTaken(let total):
            confirmations += 1
            let lost = lose(input.taken(total))
            return lost + sendInput()
        }
    }

    // MARK: Broadcasts

    private func broadcast(_ frame: ByteBuffer) throws -> [Action] {
        guard let admitted, case .live(let waiting) = admitted.screen else { return [] }
        if !waiting.frames.isEmpty { return wait(frame, admitted) }
        do {
            return try admitted.opener.open(frame).flatMap { show($0, admitted) }
        } catch EndToEndError.unknownEpoch {
            return wait(frame, admitted)
        } catch EndToEndError.replayed {
            return []
        } catch EndToEndError.gap {
            return askForSnapshot()
        }
    }

    /// Keeps frames of an epoch whose key is still expected. If there are too many, the key is not coming.
    private func wait(_ frame: ByteBuffer, _ admitted: GuestLink.Admitted) -> [Action] {
        guard case .live(var waiting) = admitted.screen else { return [] }
        waiting.append(frame)
        admitted.screen = .live(waiting)
        return waiting.bytes > WaitingFrames.limit || !keyCanStillArrive ? askForSnapshot() : []
    }

    /// False if the first waiting frame can never be opened: its epoch is not newer than the newest known key, or a
    /// later frame has an older epoch. Then its header was modified. True if nothing waits.
    private var keyCanStillArrive: Bool {
        guard let admitted, case .live(let waiting) = admitted.screen,
            let first = waiting.frames.first.flatMap({ try? FrameHeader(peeking: $0) })
        else { return true }
        if !admitted.opener.keyCanStillArrive(for: first.epoch) { return false }
        let last = waiting.frames.last.flatMap { try? FrameHeader(peeking: $0) }
        return last.map { $0.epoch >= first.epoch } ?? true
    }

    private func retryWaiting() throws -> [Action] {
        guard let admitted, case .live(let waiting) = admitted.screen else { return [] }
        admitted.screen = .live(WaitingFrames())
        return try waiting.frames.flatMap { try broadcast($0) }
    }

    func askForSnapshot() -> [Action] {
        admitted?.screen = .awaited
        return link.paired?.channel.map { [.frame($0.seal(.snapshotRequest))] } ?? []
    }

    private func show(_ message: BroadcastMessage, _ admitted: GuestLink.Admitted) -> [Action] {
        switch message {
        case .output(let bytes):
            admitted.unacknowledged += bytes.count
            return [.show(bytes)]
        case .size(let rows, let columns): return [.resize(rows: Int(rows), columns: Int(columns))]
        case .exited(let status): return end(.exited(status))
        case .stopped: return end(.stopped)
        case .skipped:
            // The host sends a snapshot next. If it is lost, the guest asks for one after it reconnects.
            admitted.screen = .awaited
            return []
        }
    }

    private func end(_ end: SignedEnd) -> [Action] {
        signedEnd = end
        return acknowledge()
    }

    // MARK: Acknowledging

    /// Called when everything returned so far has reached the screen (or the pipe).
    package func shown() -> [Action] {
        (admitted?.unacknowledged ?? 0) >= Self.acknowledgeEvery ? acknowledge() : []
    }

    /// Also after a rekey: the last acknowledgement may have been lost, and the host may wait for it.
    func acknowledge() -> [Action] {
        guard let paired = link.paired, let channel = paired.channel, let admitted = paired.admitted,
            admitted.welcome.lossless
        else { return [] }
        admitted.unacknowledged = 0
        return [.frame(channel.seal(.acknowledge(sequence: admitted.opener.lastVerified)))]
    }
}
