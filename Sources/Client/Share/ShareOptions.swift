/// What `postern share` was asked to do.
public struct ShareOptions: Sendable {
    /// Shown to guests, encrypted; never sent to the server in the open.
    public var title = ""
    public var readOnly = false
    /// Ask before anybody is let in.
    public var approve = false
    public var lossless = false
    /// One JSON object per line on standard output, and nothing else there.
    public var json = false
    /// Lines for the host alone, above the codes.
    public var foreword: [String] = []
    public var command: [String]

    public init(command: [String]) { self.command = command }
}
