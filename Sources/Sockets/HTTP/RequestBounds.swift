public import NIOCore

/// The limits of one request: the length of its body, and the time for all of it to arrive.
public struct RequestBounds: Sendable, Equatable {
    /// The maximum length of the body, in bytes.
    public var bodyBytes: Int
    /// The time from the request's head to the end of its body. Nil if the route enforces its own timeout.
    public var deadline: TimeAmount?

    public init(bodyBytes: Int, deadline: TimeAmount?) {
        self.bodyBytes = bodyBytes
        self.deadline = deadline
    }

    /// Whether a request announces a longer body than this allows.
    /// - Parameter contentLength: the header's text.
    public func isExceeded(byContentLength contentLength: String?) -> Bool {
        guard let contentLength else { return false }
        // Text that is not a number is refused elsewhere.
        return contentLength.utf8.count > 18 || (Int(contentLength) ?? 0) > bodyBytes
    }
}

/// Returns the bounds for a request, given its method and the target from its request line.
public typealias RequestBoundsLookup = @Sendable (_ method: String, _ target: String) -> RequestBounds
