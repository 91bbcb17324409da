import FoundationEssentials
import Testing

@testable import Client

/// The relay does each of these to each message of a session. Either nothing is lost by it, or the host or the guest says so.
@Suite struct HostileRelayTests {
    private typealias Attempt = HostileRelay.Attempt

    @Test(arguments: [false, true]) func everyAttemptIsHealedOrNoticed(lossless: Bool) {
        let honest = HostileRelay(lossless: lossless)
        honest.run()
        #expect(honest.isComplete && honest.noticed.isEmpty, "\(honest.noticed)")
        for place in honest.places {
            for attempt in Attempt.allCases {
                let relay = HostileRelay((place, attempt), lossless: lossless)
                relay.run()
                #expect(
                    relay.isComplete || !relay.noticed.isEmpty,
                    "\(attempt) of \(place): typed \(relay.typed), ended \(String(describing: relay.ending))")
                // What is typed is what the guest typed from its beginning on: nobody chooses what is left out.
                #expect(relay.wanted.hasPrefix(relay.typed), "\(attempt) of \(place): \(relay.typed)")
            }
        }
    }

    // MARK: The table of docs/threat-model.md

    private static let path = URL(filePath: #filePath).deletingLastPathComponent().appending(
        path: "../../docs/threat-model.md"
    ).standardized.path
    private static let begin = "<!-- made by HostileRelayTests: 'make documents' -->\n"
    private static let end = "<!-- end -->"

    @Test func theThreatModelSaysWhatBecomesOfEachAttempt() throws {
        let text = try String(decoding: Data(contentsOf: URL(filePath: Self.path)), as: UTF8.self)
        let before = try #require(text.firstRange(of: Self.begin)), after = try #require(text.firstRange(of: Self.end))
        let table = Self.table()
        if ProcessInfo.processInfo.environment["POSTERN_WRITE_DOCS"] != nil {
            let page = text[..<before.upperBound] + table + text[after.lowerBound...]
            return try Data(page.utf8).write(to: URL(filePath: Self.path))
        }
        #expect(text[before.upperBound..<after.lowerBound] == table, "run 'make documents' and look at what changed")
    }

    private static func table() -> String {
        let honest = HostileRelay(lossless: false)
        honest.run()
        var rows = "| message | \(Attempt.allCases.map(\.rawValue).joined(separator: " | ")) |\n"
        rows += "|---|\(Attempt.allCases.map { _ in "---|" }.joined())\n"
        // The first two of each kind: the later ones fare like the second.
        for place in honest.places where place.number <= 2 {
            let cells = Attempt.allCases.map { attempt -> String in
                let relay = HostileRelay((place, attempt), lossless: false)
                relay.run()
                return relay.noticed.isEmpty ? "nothing lost" : relay.noticed.joined(separator: ", ")
            }
            rows += "| \(place) | \(cells.joined(separator: " | ")) |\n"
        }
        return rows
    }
}
