import ArgumentParser
import Database
import Glibc
import Model
import Storage

/// `postern restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Replaces the database with a backup; the server must be stopped.",
        discussion: """
            Example: systemctl stop postern.socket postern-http.socket postern
                     postern restore /root/postern.db
                     systemctl start postern.socket postern-http.socket postern

            The backup is checked first, and the old database is kept beside the new one. A backup from an older Postern is \
            upgraded at the next start; one from a newer Postern is refused.
            """)

    @Argument(help: "The file written by 'postern backup'.")
    var file: String

    @Option(help: ArgumentHelp("For a sealed backup: a file whose first line is the passphrase.", valueName: "file"))
    var passphraseFile: String?

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let configuration = try server.load()
        let state = configuration.stateDirectory
        // Read as the current user, written as the owner of the data.
        let bytes = try BinaryFile.read(file, limit: SealedArchive.limit)
        let isSealed = bytes.starts(with: SealedArchive.magic)
        let passphrase = isSealed ? try Passphrase.read(from: passphraseFile, twice: false) : ""
        try Database.makeDirectory(state)
        try StateOwner.become(ownerOf: state)
        guard try !ServeLock.isTaken(stateDirectory: state) else {
            throw CommandFailure(
                "the server is running on \(state); stop it first (systemctl stop postern.socket postern-http.socket postern)"
            )
        }
        try ServeLock.take(stateDirectory: state)
        let scratch = "\(state)/restore.scratch"
        defer { unlink(scratch) }
        if isSealed {
            let files = try SealedArchive.open(bytes, passphrase: passphrase)
            guard let database = files.first(where: { $0.name == Database.fileName }) else {
                throw CommandFailure("there is no database in \(file)")
            }
            try put(database.contents, scratch, state)
            // Only known names: an archive cannot choose where its files are written.
            for key in files where KeyFiles.names.contains(key.name) {
                for directory in ["acme", "acme-tunnels"] where key.name.hasPrefix("\(directory)/") {
                    mkdir("\(state)/\(directory)", 0o700)
                }
                try BinaryFile.write(key.contents, to: "\(state)/\(key.name)")
            }
        } else {
            try put(bytes, scratch, state)
        }
    }

    private func put(_ database: [UInt8], _ scratch: String, _ state: String) throws {
        try BinaryFile.write(database, to: scratch)
        let checked: Backup.Checked
        do { checked = try Backup.check(scratch) } catch let error as StorageError {
            // SQLite's message assumes that the file was a database.
            if error.message.contains("not a database") { throw CommandFailure("\(file) is not a Postern backup") }
            throw CommandFailure("\(error.message.split(separator: scratch).joined(separator: file))")
        }
        let kept = try Backup.restore(scratch, stateDirectory: state, now: BackupName.stamp(time(nil)))
        Output.line("Restored \(checked.users) accounts.\(kept.map { " The old database is kept as \($0)." } ?? "")")
    }
}
