import Glibc

/// Inputs per parser: `make fuzz` sets many, a plain test run takes few.
let fuzzRuns = getenv("FUZZ_RUNS").flatMap { Int(String(cString: $0)) } ?? 20_000
