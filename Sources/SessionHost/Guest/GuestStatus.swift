package import EndToEnd

/// What the guest's person is told during the session.
package enum GuestStatus: Sendable, Equatable {
    case joined(title: String)
    case waitingForHost
    case waitingForApproval
    case hostAway
    case disconnected
    case back
    case skipped
    /// The last input before the connection dropped did not reach the shared command.
    case inputLost(bytes: Int)
    /// The host has not confirmed the input for some time.
    case inputUnconfirmed
}

/// How the session ended for the guest.
package enum GuestEnding: Sendable, Equatable {
    /// The session is over, and the host has signed that the output is complete. Contains the shared command's exit
    /// status if it has ended.
    case ended(status: UInt32?)
    /// The server reports that the session is over, but the host did not: output may be missing.
    case cutShort(reason: String)
    /// The piped input did not arrive completely.
    case inputLost(bytes: Int)
    case left
    case refused(String)
    case removed(String)
    case rejected(HandshakeMessage.Rejection)
    /// The peer that answered does not know the secret.
    case impostor
    case tampering(String)
    /// The server is not the expected one.
    case untrusted(String)
    case unreachable(String)
}
