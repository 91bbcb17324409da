import ArgumentParser
import CPlatform
import Database
import Files
import Glibc
import Model
import NIOCore
import Storage
import Wire

/// `postern backup`
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copies the database while the server runs, and checks the copy.",
        discussion: """
            Example: postern backup /root/postern.db
                     postern backup /root/                      (named by the time)
                     postern backup --with-keys /root/postern.sealed --passphrase-file /root/phrase

            Without keys the file is a plain SQLite database, readable only by you; the server's keys and certificates are \
            not included. With keys it is sealed with a passphrase. 'postern restore' accepts both.
            """)

    @Argument(help: "The new file, or a directory.")
    var file: String

    @Flag(help: "Include the server's keys and certificates, sealed with a passphrase.")
    var withKeys = false

    @Option(
        help: ArgumentHelp("A file whose first line is the passphrase; prompts for it otherwise.", valueName: "file"))
    var passphraseFile: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    private struct Made: Encodable {
        let file: String
        let withKeys: Bool
        /// Without keys: the number of accounts in the copy, which was checked.
        let accounts: Int?
    }

    private func say(_ text: TerminalText, _ made: Made) {
        if json { Output.json(made) } else { Output.line(text) }
    }

    func run() async throws {
        let configuration = try server.load()
        var target = file
        var found = Glibc.stat()
        if stat(file, &found) == 0, found.st_mode & S_IFMT == S_IFDIR {
            target =
                "\(file.hasSuffix("/") ? String(file.dropLast()) : file)/\(BackupName.make(now: time(nil)))\(withKeys ? ".sealed" : "")"
        }
        guard access(target, F_OK) != 0 else { throw CommandFailure("\(target) exists; choose another name") }
        guard withKeys else {
            try Backup.make(stateDirectory: configuration.stateDirectory, to: target)
            let accounts = try Backup.check(target).users
            return say(
                "\(target): \(accounts) accounts, checked.", Made(file: target, withKeys: false, accounts: accounts))
        }
        let passphrase = try Passphrase.read(from: passphraseFile, twice: true)
        // In the database's directory, not in the target directory: no unsealed data is written to the target medium.
        let scratch = "\(configuration.stateDirectory)/backup-\(getpid()).scratch"
        defer { unlink(scratch) }
        let master = "\(configuration.stateDirectory)/\(Keyring.masterName)"
        let before = try? BinaryFile.read(master, limit: SealedArchive.limit)
        try Backup.make(stateDirectory: configuration.stateDirectory, to: scratch)
        var files = [(name: Database.fileName, contents: try BinaryFile.read(scratch, limit: SealedArchive.limit))]
        unlink(scratch)
        for name in KeyFiles.names {
            let path = "\(configuration.stateDirectory)/\(name)"
            if access(path, F_OK) == 0 { files.append((name, try BinaryFile.read(path, limit: SealedArchive.limit))) }
        }
        // Otherwise keys that cannot open the copy would be noticed too late.
        guard (try? BinaryFile.read(master, limit: SealedArchive.limit)) == before else {
            throw CommandFailure("the master key was rotated meanwhile; try again", status: 75)
        }
        try BinaryFile.write(try SealedArchive.seal(files, passphrase: passphrase), to: target)
        say(
            "\(target): the database and \(files.count - 1) keys and certificates, sealed.",
            Made(file: target, withKeys: true, accounts: nil))
    }
}

/// The files that a server needs in addition to its database.
enum KeyFiles {
    static let names = [
        Keyring.masterName, Keyring.masterName + Keyring.nextSuffix, Keyring.auditName, "self-signed.pem",
        LinkIdentity.fileName, LinkIdentity.nextFileName,
        "acme/account.key", "acme/account.json",
        "acme/certificate.pem", "acme-tunnels/account.key", "acme-tunnels/account.json", "acme-tunnels/certificate.pem",
    ]
}

/// A passphrase from a file or from a person.
enum Passphrase {
    private static let limit = 1024

    static func read(from file: String?, twice: Bool) throws -> String {
        let text: String
        if let file {
            switch TextFile.read(file, limit: limit, allowsPipe: true) {
            case .success(let found): text = found.split(separator: "\n").first.map(String.init) ?? ""
            case .failure(let error): throw CommandFailure("cannot read \(file): \(error.message)")
            }
        } else {
            guard postern_is_terminal(0) == 1 else {
                throw CommandFailure(
                    "there is no terminal to prompt for the passphrase; use --passphrase-file", status: 2)
            }
            text = try ask("Passphrase (not shown): ")
            if twice, try ask("Repeat the passphrase: ") != text {
                throw CommandFailure("the passphrases do not match; nothing was written")
            }
        }
        guard text.count >= SealedArchive.shortestPassphrase else {
            throw CommandFailure("a passphrase must have at least \(SealedArchive.shortestPassphrase) characters")
        }
        return text
    }

    private static func ask(_ question: String) throws -> String {
        Output.write(question, 2)
        var line = [CChar](repeating: 0, count: limit)
        let count = postern_read_secret(0, &line, line.count)
        Output.error("")
        guard count >= 0 else { throw CommandFailure("interrupted") }
        return String(decoding: line.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
