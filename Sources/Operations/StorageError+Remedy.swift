public import Database

extension StorageError {
    /// The message for a person whose request failed with this error. Safe to show to strangers.
    public var remedy: String {
        switch code {
        case .busy: "The server is overloaded; try again in a moment."
        case .full: "The server's disk is full; its owner must free space."
        default: "An internal error occurred; the server's log has the details."
        }
    }
}
