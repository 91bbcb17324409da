/// What a guest of a share session may do.
public enum Permission: String, Codable, Sendable { case read, control }

/// Why a share session ended.
public enum SessionEnd: String, Sendable {
    /// The host sent `endSession`.
    case hostEnded = "host_ended"
    /// The host did not return in time.
    case hostGone = "host_gone"
    /// The owner deleted it through the API.
    case deleted
    /// The plan's time limit for one session was reached.
    case timeLimit = "time_limit"
}
