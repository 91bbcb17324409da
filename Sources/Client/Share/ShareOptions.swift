/// The options of `postern share`.
public struct ShareOptions: Sendable {
    /// Shown to guests. It is encrypted and never sent to the server in plain text.
    public var title = ""
    public var readOnly = false
    /// Whether to ask before anybody is admitted.
    public var approve = false
    public var lossless = false
    /// Whether to print one JSON object per line on standard output, and nothing else.
    public var json = false
    /// Lines above the codes that only the host sees.
    public var foreword: [String] = []
    public var command: [String]

    public init(command: [String]) { self.command = command }
}
