/// Why data that came through the relay is rejected.
public enum EndToEndError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Shorter than its fixed parts.
    case truncated
    /// A field has a value that no honest sender writes.
    case malformed
    /// The tag does not match: the frame was changed, or sealed for another receiver, session, stream or direction.
    case notAuthentic
    /// This number or a later one was already received.
    case replayed
    /// Frames between the last one and this are missing.
    case gap
    /// A frame kind that is not used in this direction.
    case wrongDirection
    /// There is no key for this epoch (yet).
    case unknownEpoch(UInt32)
    /// Sealed under pairwise keys that have been replaced.
    case staleGeneration
    /// Input from a guest whose secret proved only `read`.
    case inputNotAllowed
    /// The host's signature over its output does not match: another holder of the epoch key forged output.
    case forged
    /// There is more unsigned output than the host may send.
    case unsigned
    /// The point has small order, so everybody could compute the shared secret.
    case lowOrderPoint
    /// The peer does not know the secret.
    case wrongSecret
    /// The peer speaks another version.
    case wrongVersion

    public var description: String {
        switch self {
        case .truncated: "a message is truncated"
        case .malformed: "a message is malformed"
        case .notAuthentic: "a message was changed in transit"
        case .replayed: "a message was replayed"
        case .gap: "messages are missing"
        case .wrongDirection: "a message came from the wrong side"
        case .unknownEpoch(let epoch): "there is no key for epoch \(epoch)"
        case .staleGeneration: "a message was encrypted with replaced keys"
        case .inputNotAllowed: "input came from a guest that may only watch"
        case .forged: "output was forged by somebody other than the host"
        case .unsigned: "output was not signed in time"
        case .lowOrderPoint: "a key exchange used a point of small order"
        case .wrongSecret: "the words (or the link) are wrong"
        case .wrongVersion: "the other side uses another version of the protocol"
        }
    }
}
