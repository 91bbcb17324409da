package import EndToEnd

/// What a guest's person is told while it goes on.
package enum GuestStatus: Sendable, Equatable {
    case joined(title: String)
    case waitingForHost
    case waitingForApproval
    case hostAway
    case disconnected
    case back
    case skipped
    /// What was typed last before the connection dropped did not reach the shared command.
    case inputLost(bytes: Int)
    /// The host has not confirmed for a while what was typed.
    case inputUnconfirmed
}

/// How it ended.
package enum GuestEnding: Sendable, Equatable {
    /// The session is over, and the host has signed that this was all; the shared command's exit status where it has ended.
    case ended(status: UInt32?)
    /// The server says that the session is over, and the host did not: output may be missing.
    case cutShort(reason: String)
    /// What was piped in did not arrive completely.
    case inputLost(bytes: Int)
    case left
    case refused(String)
    case removed(String)
    case rejected(HandshakeMessage.Rejection)
    /// Whoever answered does not know the secret.
    case impostor
    case tampering(String)
    /// The server is not the one that is expected.
    case untrusted(String)
    case unreachable(String)
}
