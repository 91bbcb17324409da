import Synchronization

/// What to answer a certificate authority's http-01 check with (RFC 8555, section 8.3), by token.
public final class ChallengeAnswers: Sendable {
    /// Orders have few names; more than this would be somebody else's.
    private static let capacity = 100
    private let answers = Mutex<[String: String]>([:])

    public init() {}

    public func answer(token: String) -> String? { answers.withLock { $0[token] } }

    func set(_ token: String, _ keyAuthorization: String) {
        answers.withLock { if $0.count < Self.capacity { $0[token] = keyAuthorization } }
    }

    func remove(_ token: String) { answers.withLock { $0[token] = nil } }
}
