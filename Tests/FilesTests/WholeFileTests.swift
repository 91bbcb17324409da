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

    /// Several writers of one path used one name for what was not complete yet: one renamed the other's half.
    @Test func writersOfOnePathDoNotDisturbEachOther() async throws {
        try await TemporaryDirectory.with { (directory: String) async throws -> Void in
            let path = "\(directory)/file"
            await withTaskGroup(of: Bool.self) { group in
                for writer in UInt8(1)...8 {
                    group.addTask {
                        for _ in 0..<50 {
                            do { try WholeFile.write([UInt8](repeating: writer, count: 4096), to: path) } catch {
                                return false
                            }
                            guard let read = try? WholeFile.read(path, limit: 4096), read.count == 4096,
                                Set(read).count == 1
                            else { return false }
                        }
                        return true
                    }
                }
                for await isWhole in group { #expect(isWhole) }
            }
            let left = try names(in: directory)
            #expect(left == ["file"])
        }
    }

    @Test func aFileThatExistsIsNotCreatedAgain() throws {
        try TemporaryDirectory.with { directory in
            let (first, second) = (
                try WholeFile.create([1], at: "\(directory)/key"), try WholeFile.create([2], at: "\(directory)/key")
            )
            #expect(first && !second)
            #expect(try WholeFile.read("\(directory)/key", limit: 1) == [1])
            #expect(try names(in: directory) == ["key"])
        }
    }

    @Test func whatCannotTakeItsPlaceLeavesNothingAndWhatAKilledWriterLeftIsRemovedLater() throws {
        try TemporaryDirectory.with { directory in
            try WholeFile.write([1], to: "\(directory)/file.1f.partial")
            try WholeFile.write([2], to: "\(directory)/file")
            // It may still be written to.
            #expect(try names(in: directory) == ["file", "file.1f.partial"])
            var times = [timeval(tv_sec: time(nil) - 7200, tv_usec: 0), timeval(tv_sec: time(nil) - 7200, tv_usec: 0)]
            utimes("\(directory)/file.1f.partial", &times)
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
