import EndToEnd
import Wire

/// Proving the secret, and new keys for each connection.
extension GuestEngine {
    func hello() -> [Action] {
        let handshake = GuestHandshake(sessionId: sessionId, permission: permission, invitation: invitation)
        link = .proving(handshake)
        return [exchange("hello", handshake.hello)]
    }

    /// The host is connected: start a handshake, or ask for new keys.
    func greetHost() -> [Action] { link.paired == nil ? hello() : startRekey() }

    func startRekey() -> [Action] {
        guard let paired = link.paired else { return [] }
        let own = Pairing.Rekey()
        paired.keys = .rekeying(own)
        input.interrupt()
        return [exchange("rekey", paired.pairing.rekeyRequest(own))]
    }

    /// The host no longer knows this guest.
    func unpair() -> [Action] {
        link = .joining
        return lose(input.reset())
    }

    private func exchange(_ id: String, _ message: HandshakeMessage) -> Action {
        var text = ClientMessageText(type: "keyExchange")
        text.id = .text(id)
        text.payload = message.payload
        return .text(text)
    }

    func handshake(_ payload: String) -> [Action] {
        guard let message = try? HandshakeMessage(payload: payload) else { return [] }
        do {
            return try take(message)
        } catch EndToEndError.wrongSecret {
            return [.finish(.impostor)]
        } catch {
            return [.finish(.tampering("\(error)"))]
        }
    }

    private func take(_ message: HandshakeMessage) throws -> [Action] {
        switch (message, link) {
        case (.offer(let nonce, let point, let guestNonce), .proving(var handshake)):
            guard let proof = try handshake.receive(offerNonce: nonce, point: point, guestNonce: guestNonce) else {
                return []
            }
            link = .proving(handshake)
            unconfirmedProofs += 1
            guard unconfirmedProofs <= GuestHandshake.unconfirmedProofsAllowed else { return [.finish(.impostor)] }
            return [exchange("proof", proof)]
        // This answers a proof on an earlier connection. The proof of the current handshake was not sent yet.
        case (.accept, .proving(let handshake)) where !handshake.hasProved: return []
        case (.accept(let confirmation), .proving(let handshake)):
            let pairing = try handshake.receive(confirmation: confirmation)
            unconfirmedProofs = 0
            let channel = pairing.channel()
            link = .paired(GuestLink.Paired(pairing, channel))
            return [.frame(channel.seal(.name(name)))]
        case (.reject(.notPaired), .paired): return unpair() + hello()
        // The answer to a second rekey that was in flight.
        case (.reject(.notPaired), _): return []
        case (.reject(let reason), _): return [.finish(.rejected(reason))]
        case (.rekeyed(let generation, let key, let tag), .paired(let paired)):
            // This answers an earlier request (both sides reconnected at once) and no longer matches. The right answer
            // follows.
            guard case .rekeying(let rekey) = paired.keys,
                let channel = try? paired.pairing.finishRekey(rekey, generation: generation, key: key, tag: tag)
            else { return [] }
            paired.keys = .channel(channel)
            // Sent again: it may have been lost with the connection, and the host shows the name to its person.
            return [.frame(channel.seal(.name(name)))]
                + (paired.admitted?.screen.isAwaited ?? true ? askForSnapshot() : acknowledge()) + [.status(.back)]
        default: return []
        }
    }
}
