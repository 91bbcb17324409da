import Database
import Glibc
import Logging
import Model
import NIOPosix
import ServiceLifecycle
import Storage
import Synchronization
import Web

/// Backs up the database at an interval, and keeps the newest few backups.
final class BackupSchedule: Service {
    /// The interval between two checks of the clock, in seconds.
    private static let tickSeconds = 60

    private let state: String
    private let directory: String
    /// The interval between two backups in seconds. 0 makes none.
    private let interval: Int
    private let keep: Int
    /// The minimum free space after a backup, in bytes.
    private let reserve: Int
    private let logger: Logger
    private let problem = Mutex<String?>(nil)
    /// Held while a backup is made.
    private let turn = Mutex(())

    init(_ configuration: Configuration, logger: Logger) {
        state = configuration.stateDirectory
        directory = configuration[Settings.backupDirectory] ?? "\(state)/backups"
        interval = configuration[Settings.backupEveryHours] * 3600
        keep = configuration[Settings.backupKeep]
        reserve = configuration[Settings.diskReserveMiB] << 20
        self.logger = logger
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                if self.interval > 0 && Int(time(nil)) - (self.newest ?? 0) >= self.interval { _ = await self.make() }
                do { try await Task.sleep(for: .seconds(Self.tickSeconds)) } catch { return }
            }
        }
    }

    var report: BackupReport {
        let files = BackupName.list(in: directory).reversed().compactMap { name -> BackupFile? in
            var found = Glibc.stat()
            guard stat("\(directory)/\(name)", &found) == 0 else { return nil }
            return BackupFile(name: name, madeAt: found.st_mtim.tv_sec, bytes: Int(found.st_size))
        }
        return BackupReport(
            newest: files.first?.madeAt, interval: interval > 0 ? interval : nil, problem: problem.withLock { $0 },
            directory: directory, files: files)
    }

    /// Runs on its own thread: reading a large database takes seconds and would block other tasks. Only one backup runs
    /// at a time, because each removes incomplete files of others.
    /// - Returns: the error, if there was one.
    private func make() async -> String? {
        do {
            return try await NIOThreadPool.singleton.runIfActive { self.turn.withLock { _ in self.makeNow() } }
        } catch {
            logger.error("no backup was made", metadata: ["problem": "\(error)"])
            return "\(error)"
        }
    }

    /// Makes a backup now, for an administrator who does not want to wait.
    /// - Throws: ``CommandFailure``, also if the newest backup is so new that another would only remove an older one.
    func backUp() async throws {
        if let newest, Int(time(nil)) - newest < Self.tickSeconds {
            throw CommandFailure("the newest backup is less than a minute old")
        }
        if let problem = await make() { throw CommandFailure("\(problem)") }
    }

    private func makeNow() -> String? {
        do {
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
                throw CommandFailure("cannot create \(directory): \(String(cString: strerror(errno)))")
            }
            for left in BackupName.partial(in: directory) { unlink("\(directory)/\(left)") }
            try checkRoom()
            let path = "\(directory)/\(BackupName.make(now: time(nil)))"
            try Backup.make(stateDirectory: state, to: path)
            for old in BackupName.list(in: directory).dropLast(keep) { unlink("\(directory)/\(old)") }
            problem.withLock { $0 = nil }
            logger.info("backup made", metadata: ["file": "\(path)"])
            return nil
        } catch {
            let sentence = "\(error)\(Self.advice(directory, state))"
            problem.withLock { $0 = sentence }
            logger.error("no backup was made", metadata: ["problem": "\(sentence)"])
            return sentence
        }
    }

    /// The packaged unit allows the service to write only to its state directory.
    private static func advice(_ directory: String, _ state: String) -> String {
        guard directory != state, !directory.hasPrefix("\(state)/"), access(directory, W_OK) != 0,
            [EROFS, ENOENT, EACCES].contains(errno)
        else {
            return ""
        }
        return "; for the packaged service, run 'sudo postern config apply' to allow writing there"
    }

    /// A backup must not fill the disk.
    /// - Throws: ``CommandFailure``.
    private func checkRoom() throws {
        var found = Glibc.stat()
        guard stat("\(state)/\(Database.fileName)", &found) == 0, let space = DiskSpace(of: directory) else { return }
        guard space.freeBytes - Int(found.st_size) < reserve else { return }
        throw CommandFailure("there is not enough space in \(directory); free some, or lower backup-keep")
    }

    /// The time of the newest backup, in epoch seconds.
    private var newest: Int? {
        guard let name = BackupName.list(in: directory).last else { return nil }
        var found = Glibc.stat()
        return stat("\(directory)/\(name)", &found) == 0 ? found.st_mtim.tv_sec : nil
    }
}

/// The names of scheduled backups: `postern-20261121T070000Z.db`.
enum BackupName {
    static func make(now: time_t) -> String { "postern-\(stamp(now)).db" }

    /// `20261121T070000Z`
    static func stamp(_ now: time_t) -> String {
        var now = now
        var parts = tm()
        gmtime_r(&now, &parts)
        var text = [CChar](repeating: 0, count: 32)
        let count = strftime(&text, text.count, "%Y%m%dT%H%M%SZ", &parts)
        return String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Oldest first.
    static func list(in directory: String) -> [String] { names(in: directory) { $0.hasSuffix("Z.db") } }

    /// Incomplete files that a crash left.
    static func partial(in directory: String) -> [String] { names(in: directory) { $0.hasSuffix("Z.db.partial") } }

    private static func names(in directory: String, where isWanted: (String) -> Bool) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasPrefix("postern-") && isWanted(name) { names.append(name) }
        }
        return names.sorted()
    }
}
