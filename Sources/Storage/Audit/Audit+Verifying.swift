public import Database
import Model

/// Detects manipulation of a log.
extension Audit {
    /// The result of verifying one log.
    public struct Verdict: Sendable {
        public let organisationId: String
        public let head: Head?
        public let count: Int
        /// The problems, each a sentence that names the event. Empty if the log is intact.
        public let problems: [String]
    }

    /// All logs that exist or should exist.
    public static func logs(in database: Transaction) throws -> [String] {
        try database.across(.upkeep).rows(
            """
            SELECT organisation_id FROM audit_events UNION SELECT organisation_id FROM audit_chains
            UNION SELECT target FROM audit_events WHERE organisation_id = ? AND action = ? ORDER BY 1
            """, appliance, AuditAction.auditAnchored.rawValue
        ) { try $0.text("organisation_id") }
    }

    /// Verifies a whole log, page by page.
    /// - Throws: ``StorageError``.
    public static func verify(in scope: TenantScope) throws -> Verdict {
        let head = try head(in: scope)
        var problems: [String] = []
        var previous: [UInt8] = []
        var last = 0
        var anchored = Dictionary(
            try anchors(of: scope.organisationId, in: scope.transaction).map { ($0.number, $0.digest) }
        ) { $1 }
        while problems.count < 100 {
            let page = try scope.rows(
                "SELECT * FROM audit_events WHERE organisation_id = :organisation AND number > ? ORDER BY number LIMIT 1000",
                last, decode: Event.init)
            if page.isEmpty { break }
            for event in page {
                if event.number > last + 1 {
                    let gone =
                        event.number == last + 2
                        ? "event \(last + 1) is" : "events \(last + 1) to \(event.number - 1) are"
                    problems.append("\(gone) missing")
                }
                if event.digest != event.expectedDigest(after: previous, organisationId: scope.organisationId) {
                    problems.append("event \(event.number) was changed, moved or inserted, or the one before it was")
                }
                if let digest = anchored.removeValue(forKey: event.number), digest != Hexadecimal.text(event.digest) {
                    problems.append("event \(event.number) differs from the one recorded in the server's log")
                }
                (previous, last) = (event.digest, event.number)
            }
        }
        if let gone = anchored.keys.max() {
            problems.append("event \(gone), which is recorded in the server's log, is missing")
        }
        problems += try endProblems(head, last: last, digest: previous, in: scope)
        return Verdict(organisationId: scope.organisationId, head: head, count: last, problems: problems)
    }

    private static func endProblems(
        _ head: Head?, last: Int, digest: [UInt8], in scope: TenantScope
    ) throws -> [String] {
        guard let head else { return last == 0 ? [] : ["the signed head is missing"] }
        let keys = try scope.transaction.keysAndPlans.keyring()
        guard head.isSigned(scope.organisationId, keys) else {
            return ["the head was not signed with this server's audit key"]
        }
        if head.number > last { return ["events \(last + 1) to \(head.number) are missing at the end"] }
        if head.number < last { return ["events \(head.number + 1) to \(last) were added without the audit key"] }
        return head.digest == digest ? [] : ["the newest event is not the one that was signed"]
    }
}
