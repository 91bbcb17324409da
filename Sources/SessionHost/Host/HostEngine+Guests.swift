package import EndToEnd
import Model
package import NIOCore
package import Wire

/// How guests join, prove the secret, rekey, send messages and leave.
extension HostEngine {
    // MARK: Events of the relay

    package func received(_ message: ServerMessage) -> [Action] {
        switch message.type {
        case .guestJoined: return joined(message)
        case .peerDisconnected: return left(message)
        case .peerReturned:
            message.peerId.flatMap { guests[$0] }?.isConnected = true
            return []
        case .keyExchange:
            guard let peerId = message.fromPeerId, let guest = guests[peerId], let payload = message.payload,
                let handshake = try? HandshakeMessage(payload: payload)
            else { return [] }
            return shakeHands(guest, handshake)
        default: return []
        }
    }

    package func joined(_ message: ServerMessage) -> [Action] {
        guard let peerId = message.peerId, let slot = message.slot else { return [] }
        unannounced.remove(peerId)
        // The guest was removed while the relay was away, or the relay did not remove it.
        if removed.contains(peerId) { return kick(peerId) }
        if let known = guests[peerId] {
            known.isConnected = true
            return known.pairing == nil ? awaitProof(of: known) : []
        }
        // A restarted relay assigns slots again. Frames for the slot's old guest must not reach the new one.
        let gone = guests.values.filter { $0.slot == slot }.flatMap { forget($0.peerId) }
        guests[peerId] = HostGuest(
            peerId: peerId, slot: slot, username: VisibleText.escaped(message.username ?? "somebody"),
            hasAccount: message.hasAccount ?? true)
        return gone + (guests[peerId].map(awaitProof) ?? [])
    }

    /// A guest must prove the secret within a time limit on this connection, because it could not while the host was
    /// away.
    private func awaitProof(of guest: HostGuest) -> [Action] {
        start(.pairing(peerId: guest.peerId, connection: connection), Self.pairingTime)
    }

    /// A guest that has a code without its words must not keep the seat of a guest that has both.
    package func giveBackSeat(of guest: HostGuest) -> [Action] {
        [.notify(.neverProved(name: guest.title))] + kick(guest.peerId, reason: .unproved)
    }

    package func left(_ message: ServerMessage) -> [Action] {
        guard let peerId = message.peerId, let guest = guests[peerId] else { return [] }
        guest.isConnected = false
        guest.hasRekeyed = false
        return message.mayReturnUntil == nil ? forget(peerId) : []
    }

    package func shakeHands(_ guest: HostGuest, _ message: HandshakeMessage) -> [Action] {
        switch message {
        case .hello(let kind, _, let name): return offer(guest, message, kind, name)
        case .proof(let point, let confirmation): return check(guest, point, confirmation)
        case .rekey(let key, let tag): return rekey(guest, key, tag)
        case .offer, .accept, .reject, .rekeyed: return []
        }
    }

    package func offer(_ guest: HostGuest, _ hello: HandshakeMessage, _ kind: UInt8, _ name: ShareCodeId) -> [Action] {
        guard let secrets = codes[name], let secret = secrets.secret(kind: kind) else {
            return [reply(guest, .reject(.unknownCode))]
        }
        if secrets.isDead(kind: kind) { return [reply(guest, .reject(.codeDead))] }
        guard
            let handshake = try? HostHandshake(
                hello: hello, sessionId: sessionId, permission: secrets.permission, secret: secret)
        else { return [] }
        guest.proof = HostGuest.Proof(handshake: handshake, code: name, secretKind: kind)
        guest.proofs += 1
        return [reply(guest, handshake.offer)]
            + start(.proof(peerId: guest.peerId, number: guest.proofs), Self.proofTime)
    }

    package func check(_ guest: HostGuest, _ point: [UInt8], _ confirmation: [UInt8]) -> [Action] {
        guard let proof = guest.proof else { return [] }
        guest.proof = nil
        let name = proof.code
        // A proof that was in flight when the code died is not checked: it would be one more guess.
        if codes[name]?.isDead(kind: proof.secretKind) != false { return [reply(guest, .reject(.codeDead))] }
        guard let (pairing, accept) = try? proof.handshake.receive(point: point, confirmation: confirmation) else {
            return [reply(guest, .reject(.wrongSecret)), .notify(.wrongSecret(name: guest.title, code: name))]
                + proofFailed(proof) + giveUpOn(guest)
        }
        let channel = guest.pair(pairing)
        // The keys belong to this connection, even if the host has reconnected since the guest was first announced.
        (guest.isConnected, guest.hasRekeyed) = (true, true)
        if options.approve {
            let wasAdmitted = guest.isAdmitted
            guest.stage = .waiting
            let pending = [reply(guest, accept), .frame(channel.seal(.approvalPending, to: guest.slot))]
            return pending + (wasAdmitted ? readsNoMore() : [])
        }
        return [reply(guest, accept)] + admit(guest)
    }

    package func proofFailed(_ proof: HostGuest.Proof) -> [Action] {
        let wasDead = codes[proof.code]?.isDead(kind: proof.secretKind) ?? true
        codes[proof.code]?.proofFailed(kind: proof.secretKind)
        let isDead = codes[proof.code]?.isDead(kind: proof.secretKind) ?? true
        // The code is not revoked on the server: guests with the link may still join.
        return isDead && !wasDead ? [.notify(.codeDied(proof.code))] : []
    }

    /// A guest that has never proved anything and keeps trying loses its seat. The server limits how soon it may take
    /// another.
    private func giveUpOn(_ guest: HostGuest) -> [Action] {
        guest.failedProofs += 1
        let allowed = guest.hasAccount ? CodeSecrets.failuresAllowed : 1
        guard guest.pairing == nil, guest.failedProofs >= allowed else { return [] }
        return giveBackSeat(of: guest)
    }

    /// The host's person admitted or refused a waiting guest.
    package func decide(peerId: String, admit yes: Bool) -> [Action] {
        guard let guest = guests[peerId], case .waiting = guest.stage else { return [] }
        return yes ? admit(guest) : [reply(guest, .reject(.notApproved))] + kick(peerId)
    }

    /// Removes a guest permanently and at once. The relay is asked to do the same, but is not relied upon.
    package func kick(_ peerId: String, reason: KickReason? = nil) -> [Action] {
        removed.insert(peerId)
        var message = ClientMessageText(type: "kick")
        message.peerId = peerId
        message.reason = reason?.rawValue
        return [.text(message)] + forget(peerId)
    }

    /// Removes a guest that is gone. It gets nothing that follows.
    package func forget(_ peerId: String) -> [Action] {
        guard let guest = guests.removeValue(forKey: peerId) else { return [] }
        var actions: [Action] = []
        if let proof = guest.proof { actions += proofFailed(proof) }
        if guest.pairing != nil { actions.append(.notify(.guestLeft(peerId: peerId, name: guest.title))) }
        return guest.isAdmitted ? actions + readsNoMore() : actions
    }

    /// A guest is no longer admitted: it gets none of the later keys, and is not waited for.
    private func readsNoMore() -> [Action] { start(.rotation, Self.rotationDelay) + pace() + endWhenConfirmed() }

    package func admit(_ guest: HostGuest) -> [Action] {
        guest.stage = .admitted
        guest.needsSnapshot = true
        // The epoch that starts with this guest's arrival. The guest cannot open frames that were sealed before.
        guest.firstEpoch = sealer.epoch + 1
        guest.acknowledged = sealer.lastSequence
        return welcome(guest) + start(.rotation, Self.rotationDelay)
    }

    package func rekey(_ guest: HostGuest, _ key: [UInt8], _ tag: [UInt8]) -> [Action] {
        // The host dropped this guest while it was away. It has to prove the secret again.
        guard let pairing = guest.pairing else { return [reply(guest, .reject(.notPaired))] }
        guard
            let (channel, answer) = try? pairing.answerRekey(key: key, tag: tag, generation: guest.generation + 1)
        else { return [] }
        guest.generation += 1
        guest.channel = channel
        guest.isConnected = true
        guest.hasRekeyed = true
        // Bytes missing from the count were lost with the connection. The guest tells its person.
        let count = Action.frame(channel.seal(.inputTaken(total: guest.acceptedInput), to: guest.slot))
        guest.acknowledgedInput = guest.acceptedInput
        if case .waiting = guest.stage {
            return [reply(guest, answer), count, .frame(channel.seal(.approvalPending, to: guest.slot))]
        }
        guard guest.isAdmitted else { return [reply(guest, answer), count] }
        var actions = [reply(guest, answer), count] + welcome(guest)
        for known in epochs where known.epoch >= guest.firstEpoch {
            actions.append(.frame(channel.seal(.epochKey(epoch: known.epoch, key: known.key), to: guest.slot)))
        }
        if guest.needsSnapshot { actions += start(.snapshots, 0) }
        return actions
    }

    package func welcome(_ guest: HostGuest) -> [Action] {
        let welcome = DirectMessage.Welcome(
            signingKey: sealer.signingKey, lossless: options.lossless, title: options.title)
        return guest.channel.map { [.frame($0.seal(.welcome(welcome), to: guest.slot))] } ?? []
    }

    package func reply(_ guest: HostGuest, _ message: HandshakeMessage) -> Action {
        var text = ClientMessageText(type: "keyExchange")
        text.targetPeerId = guest.peerId
        text.payload = message.payload
        return .text(text)
    }

    // MARK: Frames of guests

    package func received(_ frame: ByteBuffer) -> [Action] {
        guard let header = try? FrameHeader(peeking: frame),
            let guest = guests.values.first(where: { $0.slot == header.slot }), let channel = guest.channel
        else { return [] }
        // The frame was sent before the host reconnected, and the relay could not deliver the frames before it. The
        // guest rekeys.
        guard guest.hasRekeyed else { return [] }
        do {
            switch try channel.openFromGuest(frame) {
            case .input(let bytes):
                guard guest.isAdmitted else { return [] }
                guest.acceptedInput += UInt64(bytes.count)
                let receipt = InputReceipt(peerId: guest.peerId, pairing: guest.pairings, bytes: bytes.count)
                return [.type(bytes, receipt), .notify(.typing(peerId: guest.peerId, name: guest.title))]
            case .feedback(let message): return feedback(guest, message)
            }
        } catch EndToEndError.staleGeneration {
            // The frame was in flight when the keys changed. The guest decides whether to send it again.
            return []
        } catch EndToEndError.gap {
            // An attacker who removes keystrokes controls what remains. The guest is removed, and its person decides
            // whether to join again.
            let notice = HostNotice.tampering(name: guest.title, what: EndToEndError.gap.description)
            return [.notify(notice), reply(guest, .reject(.tampered))] + kick(guest.peerId)
        } catch {
            return [.notify(.tampering(name: guest.title, what: error.description))]
        }
    }

    /// The shared command has taken a guest's input.
    package func taken(_ receipt: InputReceipt) -> [Action] {
        guard let guest = guests[receipt.peerId], guest.pairings == receipt.pairing else { return [] }
        guest.takenInput += UInt64(receipt.bytes)
        return start(.inputAcknowledgement, Self.inputAcknowledgementDelay)
    }

    package func acknowledgeInput() -> [Action] {
        admitted.compactMap { guest in
            guard guest.hasRekeyed, guest.takenInput > guest.acknowledgedInput, let channel = guest.channel else {
                return nil
            }
            guest.acknowledgedInput = guest.takenInput
            return .frame(channel.seal(.inputTaken(total: guest.takenInput), to: guest.slot))
        }
    }

    package func feedback(_ guest: HostGuest, _ message: FeedbackMessage) -> [Action] {
        switch message {
        case .name(let name):
            let isNew = guest.name == nil
            guest.name = VisibleText.removed(name)
            guard isNew else { return [] }
            if case .waiting = guest.stage {
                return [
                    .notify(
                        .guestAsks(
                            peerId: guest.peerId, account: guest.account, name: guest.ownName,
                            permission: guest.permission))
                ]
            }
            return [.notify(.guestJoined(peerId: guest.peerId, name: guest.title, permission: guest.permission))]
        case .acknowledge(let sequence):
            guest.acknowledged = max(guest.acknowledged, min(sequence, sealer.lastSequence))
            return pace() + endWhenConfirmed()
        case .snapshotRequest:
            guard guest.isAdmitted else { return [] }
            guest.needsSnapshot = true
            return start(.snapshots, Self.snapshotDelay)
        }
    }
}
