/// A host's or a guest's seat in a share session, in the form that is stored across restarts of the server.
public struct SeatRecord: Sendable, Equatable {
    /// The slot in the room: 0 is the host, guests have 1 to 65,535.
    public let slot: Int
    /// The server's name for a guest without an account.
    public static let guestName = "guest"

    public let peerId: String
    /// Nil for a guest without an account.
    public let userId: String?
    public let username, publicKey: String
    public let permission: Permission
    /// SHA-256 of the token that returns the seat.
    public let resumeDigest: [UInt8]
    /// The sign-in or API token that admitted the peer, as a revocation names it.
    public let credentialId: String?
    public let organisationId: String?

    public init(
        slot: Int, peerId: String, userId: String?, username: String, publicKey: String, permission: Permission,
        resumeDigest: [UInt8], credentialId: String? = nil, organisationId: String? = nil
    ) {
        self.slot = slot
        self.peerId = peerId
        self.userId = userId
        self.username = username
        self.publicKey = publicKey
        self.permission = permission
        self.resumeDigest = resumeDigest
        self.credentialId = credentialId
        self.organisationId = organisationId
    }
}
