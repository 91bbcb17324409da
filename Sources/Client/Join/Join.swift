import EndToEnd
import Glibc
import Model
import NIOCore
import NIOPosix
import SessionHost
public import TransportSecurity
import Wire

/// `postern join`: shows somebody else's terminal in this one.
public enum Join {
    /// The invitation with which a guest joins.
    public struct Invitation: Sendable {
        let invitation: ShareInvitation
        /// The server that the link names; nil for a code with words.
        public var server: String? { invitation.server }

        /// Checks an invitation as far as possible before sign-in.
        /// - Throws: ``ClientError`` if the text is not an invitation, if its words have a typing mistake, or if this
        ///   process runs in the share itself.
        public init(_ text: String) throws(ClientError) {
            guard let invitation = ShareInvitation(text) else {
                throw ClientError(
                    "'\(text)' is not an invitation; an invitation looks like SYCLX-7K2Q9M-cactus-violin, or is a link that contains #",
                    status: .usage)
            }
            if let mistake = invitation.likelyMistake {
                throw ClientError(
                    "'\(mistake.typed)' is not one of the words; did you mean '\(mistake.meant)'?", status: .usage)
            }
            // The share's output would become its own input, endlessly.
            if Join.isInside(invitation.code.description) {
                throw ClientError("this is the terminal that \(invitation.code) shares; join from another terminal")
            }
            self.invitation = invitation
        }
    }

    /// Whether this process runs in the share that has this code or this session id.
    static func isInside(_ codeOrSession: String) -> Bool {
        guard let shared = getenv("POSTERN_SHARED").map({ String(cString: $0) }) else { return false }
        return shared.split(separator: ",").contains(Substring(codeOrSession))
    }

    /// - Parameters:
    ///   - address: the server; a link's fingerprint is added to it.
    ///   - token: nil joins without an account.
    ///   - fingerprint: the expected certificate of the server; a link may contain it as well.
    ///   - takesClipboard: whether programs in the session may set this terminal's clipboard.
    /// - Returns: when the session ended or the person left.
    /// - Throws: ``ClientError`` for every other ending.
    public static func run(
        _ invitation: Invitation, address: ServerAddress, token: String?, name: String,
        fingerprint: Fingerprint? = nil, takesClipboard: Bool = false
    ) async throws {
        let invitation = invitation.invitation
        var address = address
        // If the system verifies the server and the link names a fingerprint, no token is sent: the author of the link
        // could otherwise substitute a certificate.
        let token = address.pin == nil && invitation.fingerprint != nil ? nil : token
        if let told = invitation.fingerprint.flatMap({ Fingerprint($0) }) { address = try pinned(address, to: told) }
        if let told = fingerprint { address = try pinned(address, to: told) }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let ending = try await loop.flatSubmit { [address] () -> EventLoopFuture<GuestEnding> in
            JoinRunner(
                invitation: invitation, address: address, token: token, name: name, takesClipboard: takesClipboard,
                loop: loop
            ).start()
        }.get()
        if let error = ending.error(invitation, address) { throw error }
    }

    /// The host and the guest must see the same certificate of the server.
    private static func pinned(_ address: ServerAddress, to told: Fingerprint) throws(ClientError) -> ServerAddress {
        guard address.isSecure else {
            throw ClientError("a certificate is expected, but \(address) is plain HTTP; log in to its https:// address")
        }
        if let known = address.pin, known != told { throw differs(address, known, told) }
        var address = address
        address.pin = told
        return address
    }

    private static func differs(_ address: ServerAddress, _ known: Fingerprint, _ told: Fingerprint) -> ClientError {
        ClientError(
            """
            the host sees a different certificate for \(address) than you do:
              expected \(known)
              found    \(told)
            Ask the server's owner ('postern cert status' prints it there). If the new one is right, run \
            'postern login \(address) --fingerprint \(told)'; if not, the connection may be intercepted
            """)
    }
}

extension GuestEnding {
    /// The sentence for the person; nil if the session ended normally.
    func error(_ invitation: ShareInvitation, _ address: ServerAddress) -> ClientError? {
        switch self {
        case .ended, .left: nil
        case .cutShort(let reason):
            ClientError("the server ended the session (\(reason)) and the host did not: output may be missing")
        case .refused("Invalid token"):
            ClientError("the server does not accept your token; run 'postern login URL' with a new one")
        case .refused(let reason) where reason.contains("with an account only"):
            ClientError("this session takes guests with an account only; run 'postern login \(address)' and join again")
        case .refused("Code not found"):
            ClientError("code \(invitation.code) does not exist; check the spelling, or ask the host for a new code")
        case .refused("Code has been revoked"):
            ClientError("code \(invitation.code) has been revoked; ask the host for a new one")
        case .refused("Code has expired"):
            ClientError("code \(invitation.code) has expired; ask the host for a new one")
        case .refused("Code usage limit reached"):
            ClientError("code \(invitation.code) has been used up to its limit; ask the host for a new one")
        case .refused("Session has ended"): ClientError("the session of code \(invitation.code) has ended")
        case .refused(let reason) where reason.contains("try again"): ClientError("\(reason)", status: .tryAgain)
        case .refused(let reason): ClientError("\(reason)")
        case .removed(let reason): ClientError("disconnected: \(reason)")
        case .rejected(.wrongSecret):
            ClientError("the words are wrong; check them with the host (a code is disabled after five wrong tries)")
        case .rejected(.codeDead):
            ClientError("code \(invitation.code) was tried too often with wrong words; ask the host for a new code")
        case .rejected(.notApproved): ClientError("the host did not admit you")
        case .rejected(.wrongVersion):
            ClientError("the host runs a different version of postern; install the same version on both sides")
        case .rejected(.unknownCode):
            ClientError("the host does not know code \(invitation.code); ask for a new one")
        case .rejected(.tampered):
            ClientError("some of your input was removed in transit: do not trust this server, and tell the host")
        case .inputLost(let bytes):
            ClientError("the last \(bytes) bytes of the input did not arrive at the host", status: .tryAgain)
        case .rejected(.notPaired): ClientError("the host does not know this guest; join again")
        case .impostor:
            ClientError("the other side does not know the words: do not trust this server, and tell the host")
        case .tampering(let what): ClientError("the connection was tampered with (\(what)); do not trust this server")
        case .untrusted(let what): ClientError("\(what)")
        case .unreachable(let what): ClientError("\(what)", status: .tryAgain)
        }
    }
}
