import Glibc

/// Inputs per parser: `make fuzz` sets many, a plain test run takes few.
public let fuzzRuns = getenv("FUZZ_RUNS").flatMap { Int(String(cString: $0)) } ?? 20_000

/// Samples with a few bytes changed, put in or taken out.
public func mutated(_ samples: [String], _ body: ([UInt8]) throws -> Void) rethrows {
    var dice = SystemRandomNumberGenerator()
    for _ in 0..<fuzzRuns {
        var bytes = Array(samples[Int.random(in: 0..<samples.count, using: &dice)].utf8)
        for _ in 0..<Int.random(in: 1...8, using: &dice) where !bytes.isEmpty {
            let position = Int.random(in: 0..<bytes.count, using: &dice)
            switch Int.random(in: 0..<3, using: &dice) {
            case 0: bytes[position] = UInt8.random(in: 0...255, using: &dice)
            case 1: bytes.insert(UInt8.random(in: 0...255, using: &dice), at: position)
            default: bytes.remove(at: position)
            }
        }
        try body(bytes)
    }
}
