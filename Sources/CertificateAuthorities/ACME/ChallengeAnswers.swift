import Synchronization

/// The responses to a certificate authority's http-01 checks (RFC 8555, section 8.3), by token.
public final class ChallengeAnswers: Sendable {
    /// The maximum number of tokens. Orders have few names, so more tokens would not be ours.
    private static let capacity = 100
    private let answers = Mutex<[String: String]>([:])

    public init() {}

    public func answer(token: String) -> String? { answers.withLock { $0[token] } }

    func set(_ token: String, _ keyAuthorization: String) {
        answers.withLock { if $0.count < Self.capacity { $0[token] = keyAuthorization } }
    }

    func remove(_ token: String) { answers.withLock { $0[token] = nil } }
}
