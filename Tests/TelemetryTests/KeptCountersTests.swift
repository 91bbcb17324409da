import Glibc
import TestSupport
import Testing

@testable import Telemetry

@Suite struct KeptCountersTests {
    private func withPath(_ body: (String) throws -> Void) throws {
        try TemporaryDirectory.with { try body("\($0)/counters") }
    }

    @Test func whatWasCountedIsThereWhateverEndedTheProcess() throws {
        try withPath { path in
            #expect(try KeptCounters.left(at: path).isEmpty)
            try countSomething(path)
            // The next process: what the last one left is read before it is gone.
            #expect(try KeptCounters.left(at: path) == ["second": 1, "third": 3])
            _ = try KeptCounters(path: path)
            #expect(try KeptCounters.left(at: path).isEmpty)
        }
    }

    private func countSomething(_ path: String) throws {
        do {
            let counters = try KeptCounters(path: path)
            // Two cannot count in one file.
            #expect(throws: KeptCounters.Failure.self) { try KeptCounters(path: path) }
            let (first, second) = (counters.open("first", from: 40), counters.open("second"))
            first.add(2)
            // Read beside the process that counts, which has closed and flushed nothing.
            #expect(try KeptCounters.left(at: path) == ["first": 42, "second": 0])
            counters.close(first.place)
            second.add(1)
            #expect(try KeptCounters.left(at: path) == ["second": 1])
            let again = counters.open("third", from: 3)
            #expect(try KeptCounters.left(at: path) == ["second": 1, "third": 3])
            #expect(again.value == 3 && second.value == 1)
        }
    }

    @Test func moreThanFitIsCountedInMemory() throws {
        try withPath { path in
            let counters = try KeptCounters(path: path)
            let all = (0...KeptCounters.capacity).map { counters.open("\($0)", from: $0) }
            let long = counters.open(String(repeating: "x", count: KeptCounters.longestName + 1))
            (all + [long]).forEach { $0.add(1) }
            #expect(all.enumerated().allSatisfy { $1.value == $0 + 1 } && long.value == 1)
            let left = try KeptCounters.left(at: path)
            #expect(left.count == KeptCounters.capacity && left["\(KeptCounters.capacity)"] == nil)
            (all + [long]).forEach { counters.close($0.place) }
            #expect(try KeptCounters.left(at: path).isEmpty)
        }
    }

    @Test(arguments: [0, 1, 63, 64, 100, 4096, 1_048_577]) func aFileThatSaysNonsenseIsPassedOver(length: Int) throws {
        try withPath { path in
            let file = open(path, O_RDWR | O_CREAT, 0o600)
            let nonsense = (0..<length).map { _ in UInt8.random(in: 0...255) }
            #expect(write(file, nonsense, length) == length)
            close(file)
            let left = try KeptCounters.left(at: path)
            #expect(left.values.allSatisfy { $0 >= 0 })
            let counter = try KeptCounters(path: path).open("a")
            counter.add(1)
            #expect(try KeptCounters.left(at: path) == ["a": 1])
        }
    }

    @Test func aDirectoryThatIsNotThereIsNamed() {
        #expect(throws: KeptCounters.Failure.self) { try KeptCounters(path: "/nowhere/counters") }
    }
}
