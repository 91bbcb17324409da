import EndToEnd
package import Model
package import Wire

/// What the host's person (or a program reading `--json`) is told.
package enum HostNotice: Sendable, Equatable {
    /// - Parameters:
    ///   - account: as the server knows it; nil for a guest without an account.
    ///   - name: the guest's own name, if it differs.
    case guestAsks(peerId: String, account: String?, name: String?, permission: Permission)
    case guestJoined(peerId: String, name: String, permission: Permission)
    case guestLeft(peerId: String, name: String)
    case typing(peerId: String, name: String)
    case wrongSecret(name: String, code: ShareCodeId)
    case codeDied(ShareCodeId)
    /// A guest had a seat and did not show in time that it knows the words; its seat is free again.
    case neverProved(name: String)
    case tampering(name: String, what: String)
}
