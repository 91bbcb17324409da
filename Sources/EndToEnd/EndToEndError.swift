/// Why something that came through the relay is not believed.
public enum EndToEndError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Shorter than its fixed parts.
    case truncated
    /// A field that no honest sender writes.
    case malformed
    /// The tag does not match: changed on the way, or sealed for somebody else, another session, stream or direction.
    case notAuthentic
    /// This number was seen before, or a later one was.
    case replayed
    /// Frames between the last one and this are missing.
    case gap
    /// A frame kind that does not travel in this direction.
    case wrongDirection
    /// No key for this epoch (yet).
    case unknownEpoch(UInt32)
    /// Sealed under pairwise keys that have been replaced.
    case staleGeneration
    /// Input from a guest whose secret proved only `read`.
    case inputNotAllowed
    /// The host's signature over its output does not match: somebody else with the epoch key forged output.
    case forged
    /// More output than the host may leave unsigned.
    case unsigned
    /// The point has small order; the shared secret would be known to everybody.
    case lowOrderPoint
    /// The other side does not know the secret.
    case wrongSecret
    /// The other side speaks another version.
    case wrongVersion

    public var description: String {
        switch self {
        case .truncated: "a message was cut short"
        case .malformed: "a message is malformed"
        case .notAuthentic: "a message was changed on its way"
        case .replayed: "a message was replayed"
        case .gap: "messages are missing"
        case .wrongDirection: "a message came from the wrong side"
        case .unknownEpoch(let epoch): "there is no key for epoch \(epoch)"
        case .staleGeneration: "a message was sealed under replaced keys"
        case .inputNotAllowed: "input came from a guest that may only watch"
        case .forged: "output was forged by somebody who is not the host"
        case .unsigned: "output was not signed in time"
        case .lowOrderPoint: "a key exchange used a point of small order"
        case .wrongSecret: "the words (or the link) are wrong"
        case .wrongVersion: "the other side speaks another version of the protocol"
        }
    }
}
