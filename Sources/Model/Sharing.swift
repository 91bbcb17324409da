/// What a guest of a share session may do.
public enum Permission: String, Codable, Sendable { case read, control }

/// Why a share session ended.
public enum SessionEnd: String, Sendable {
    /// The host said `endSession`.
    case hostEnded = "host_ended"
    /// The host did not return within its window.
    case hostGone = "host_gone"
    /// The owner deleted it through the API.
    case deleted
    /// The plan's time for one session is over.
    case timeLimit = "time_limit"
}
