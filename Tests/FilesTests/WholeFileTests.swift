import Files
import Glibc
import TestSupport
import Testing

@Suite struct WholeFileTests {
    private func names(in directory: String) throws -> Set<String> {
        let handle = try #require(opendir(directory))
        defer { closedir(handle) }
        var found: Set<String> = []
        while let entry = readdir(handle) {
            found.insert(
                withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return found.subtracting([".", ".."])
    }

    private func number(_ body: () throws(WholeFile.Failure) -> Void) -> CInt? {
        do { try body() } catch { return error.number }
        return nil
    }

    @Test func whatIsWrittenIsReadAndOursAlone() throws {
        try TemporaryDirectory.with { directory in
            for size in [0, 1, 16 << 10, 1 << 20] {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
                try WholeFile.write(bytes, to: "\(directory)/file")
                #expect(try WholeFile.read("\(directory)/file", limit: size) == bytes)
            }
            var found = stat()
            #expect(stat("\(directory)/file", &found) == 0 && found.st_mode & 0o777 == 0o600)
            #expect(try names(in: directory) == ["file"])
        }
    }

    @Test func whatIsLongerThanTheLimitIsRefused() throws {
        try TemporaryDirectory.with { directory in
            try WholeFile.write([1, 2, 3], to: "\(directory)/file")
            #expect(
                number { () throws(WholeFile.Failure) in _ = try WholeFile.read("\(directory)/file", limit: 2) }
                    == EFBIG)
        }
        // It has no length until it is read.
        #expect(try WholeFile.read("/proc/self/maps", limit: 1 << 20).count > 16)
        #expect(
            number { () throws(WholeFile.Failure) in _ = try WholeFile.read("/proc/self/maps", limit: 16) } == EFBIG)
    }

    @Test func whatCannotTakeItsPlaceLeavesNothingAndWhatAKilledWriterLeftIsNoObstacle() throws {
        try TemporaryDirectory.with { directory in
            try WholeFile.write([1], to: "\(directory)/file.partial")
            try WholeFile.write([2], to: "\(directory)/file")
            #expect(try names(in: directory) == ["file"])
            mkdir("\(directory)/taken", 0o700)
            #expect(
                number { () throws(WholeFile.Failure) in try WholeFile.write([3], to: "\(directory)/taken") } == EISDIR)
            #expect(
                number { () throws(WholeFile.Failure) in try WholeFile.write([3], to: "\(directory)/no/file") }
                    == ENOENT)
            #expect(try names(in: directory) == ["file", "taken"])
        }
    }

    @Test func theDirectoryOfANameIsFoundWhereverItIs() throws {
        try WholeFile.syncDirectory(of: "name")
        try WholeFile.syncDirectory(of: "/name")
        try WholeFile.syncDirectory(of: "/tmp/name")
        #expect(number { () throws(WholeFile.Failure) in try WholeFile.syncDirectory(of: "/nowhere/name") } == ENOENT)
    }
}
