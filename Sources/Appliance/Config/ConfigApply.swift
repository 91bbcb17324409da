import ArgumentParser
import Glibc
import Model
import Wire

struct ConfigApply: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Gives the packaged service access to the paths in the configuration.",
        discussion: """
            Example: sudo postern config apply && sudo systemctl restart postern

            The service may write only to /var/lib/postern, and read what its user may read. For another state or \
            backup-directory, and for certificates that only root can read, this writes a drop-in for postern.service, creates \
            missing directories, and reloads systemd. Without such settings it removes the drop-in.
            """)

    @Flag(help: "Print the drop-in, and change nothing.")
    var dryRun = false

    func run() throws {
        guard geteuid() == 0 else {
            throw CommandFailure("this changes what systemd lets the service do; run it with sudo")
        }
        guard let unit = ServiceUnit.installed() else {
            throw CommandFailure(
                "there is no \(ServiceUnit.name) here; 'postern serve' in a terminal runs with its user's permissions")
        }
        let configuration = try Configuration(file: nil, flags: [:]).checked()
        let dropIn = try ServiceDropIn(configuration, unit)
        if dryRun { return Output.write(dropIn.text.isEmpty ? "no drop-in is needed\n" : dropIn.text, 1) }
        try dropIn.makeDirectories(unit)
        let isChanged = try dropIn.write()
        if isChanged && Program.output("/usr/bin/systemctl", ["daemon-reload"]) == nil {
            throw CommandFailure("'systemctl daemon-reload' failed; run it, then 'systemctl restart postern'")
        }
        guard isChanged else { return Output.line("\(ServiceUnit.name) has the access it needs; nothing has changed") }
        if dropIn.text.isEmpty {
            Output.line("removed \(ServiceUnit.dropInPath)")
        } else {
            Output.line("wrote \(ServiceUnit.dropInPath):")
            Output.write(dropIn.text, 1)
        }
        Output.line("Now: systemctl restart postern")
        if dropIn.hasCertificates {
            Output.line(
                "systemd reads the certificates when the service starts. Restart it after each renewal, with certbot:")
            Output.line("  certbot renew --deploy-hook 'systemctl restart postern'")
        }
    }
}

/// The drop-in that `postern config apply` writes.
struct ServiceDropIn {
    /// Empty if no drop-in is needed.
    let text: String
    let hasCertificates: Bool
    private let directories: [String]

    /// - Throws: ``CommandFailure`` for problems that no drop-in can solve.
    init(_ configuration: Configuration, _ unit: ServiceUnit) throws {
        var lines: [String] = []
        directories = ServiceUnit.written.compactMap { configuration[$0]?.text }.filter { !unit.owns($0) }
        for path in directories {
            if unit.hides(path) {
                throw CommandFailure(
                    "\(ServiceUnit.name) cannot access \(path); choose a directory below /srv or /var/lib")
            }
            guard !path.utf8.contains(where: { $0 <= 0x20 || $0 == 0x25 || $0 == 0x22 || $0 == 0x5C }) else {
                throw CommandFailure(
                    "\(path): choose a path without spaces, %, \" and \\; systemd interprets them")
            }
            lines.append("ReadWritePaths=\(path)")
        }
        let files = ServiceCheck.paths(configuration, ServiceUnit.handedOver)
        for key in ServiceUnit.handedOver {
            guard let paths = files[key], !paths.allSatisfy({ unit.allows($0, R_OK) }) else { continue }
            for (index, path) in paths.enumerated() {
                guard access(path, R_OK) == 0 else {
                    throw CommandFailure("\(key): \(path): \(String(cString: strerror(errno)).lowercased())")
                }
                lines.append("LoadCredential=\(ServiceUnit.credentialName(key, index)):\(path)")
            }
        }
        hasCertificates = lines.contains { $0.hasPrefix("LoadCredential") }
        text =
            lines.isEmpty
            ? ""
            : "# Written by 'postern config apply' from \(Configuration.standardFile).\n[Service]\n\(lines.joined(separator: "\n"))\n"
    }

    /// Creates missing directories, accessible only by the service's user.
    /// - Throws: ``CommandFailure``.
    func makeDirectories(_ unit: ServiceUnit) throws {
        for path in directories {
            try Self.makeParents(of: path)
            if mkdir(path, 0o700) == 0 {
                guard let account = unit.account else { continue }
                guard chown(path, account.user, account.group) == 0 else { throw Self.failure(path) }
                Output.line("created \(path) for the user \(unit.user)")
            } else if errno != EEXIST {
                throw Self.failure(path)
            } else if !unit.allows(path, R_OK | W_OK | X_OK) {
                throw CommandFailure("the user \(unit.user) may not write to \(path); chown -R \(unit.user): \(path)")
            }
        }
    }

    private static func makeParents(of path: String) throws {
        var parent = ""
        for part in path.split(separator: "/").dropLast() {
            parent += "/\(part)"
            guard mkdir(parent, 0o755) == 0 || errno == EEXIST else { throw failure(parent) }
        }
    }

    /// - Returns: whether anything has changed.
    /// - Throws: ``CommandFailure``.
    func write() throws -> Bool {
        let path = ServiceUnit.dropInPath
        let present = try? TextFile.read(path, limit: 1 << 16).get()
        if present == (text.isEmpty ? nil : text) { return false }
        if text.isEmpty {
            guard unlink(path) == 0 else { throw Self.failure(path) }
            return true
        }
        try Self.makeParents(of: path)
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure(temporary) }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        guard fchmod(descriptor, 0o644) == 0, Glibc.write(descriptor, bytes, bytes.count) == bytes.count,
            rename(temporary, path) == 0
        else {
            throw Self.failure(path)
        }
        return true
    }

    private static func failure(_ path: String) -> CommandFailure {
        CommandFailure("\(path): \(String(cString: strerror(errno)).lowercased())")
    }
}
