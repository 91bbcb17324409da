public import Database

extension StorageError {
    /// The sentence for somebody whose request failed with this error, safe to show to strangers.
    public var remedy: String {
        switch code {
        case .busy: "The server is overloaded; try again in a moment."
        case .full: "The server's disk is full; its owner must free space."
        default: "Something went wrong here; the server's log says what."
        }
    }
}
