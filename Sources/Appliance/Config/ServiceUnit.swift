import Glibc
import Model

/// The restrictions of the packaged service by systemd: its user, and where it may write. Read from `systemctl show`
/// and from our own drop-in.
struct ServiceUnit {
    static let name = "postern.service"
    /// Written only by `postern config apply`.
    static let dropInPath = "/etc/systemd/system/\(name).d/50-configuration.conf"
    private static let properties = [
        "LoadState", "ActiveState", "SubState", "User", "ProtectSystem", "ProtectHome", "PrivateTmp", "ReadWritePaths",
        "StateDirectory",
        "RuntimeDirectory",
    ]

    /// Empty for root.
    let user: String
    /// `active`, `failed`, `activating`.
    let state: String
    /// Directories that the unit creates for itself and may write to.
    let ownDirectories: [String]
    /// The files that the drop-in passes to the service, in order, by the key of their setting.
    let credentials: [String: [String]]
    private let readWritePaths: [String]
    private let isReadOnly: Bool
    private let hidden: [String]

    /// - Parameters:
    ///   - properties: the output of `systemctl show`, one `NAME=VALUE` per line.
    ///   - dropIn: the drop-in's text. Empty if there is none.
    /// - Returns: nil if the unit is not installed.
    init?(properties text: String, dropIn: String) {
        var values: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        guard values["LoadState"] == "loaded" else { return nil }
        func words(_ key: String) -> [String] { (values[key] ?? "").split(separator: " ").map(String.init) }
        user = values["User"] ?? ""
        state = values["SubState"] == "auto-restart" ? "restarting repeatedly" : values["ActiveState"] ?? ""
        isReadOnly = values["ProtectSystem"] == "strict"
        ownDirectories =
            words("StateDirectory").map { "/var/lib/\($0)" } + words("RuntimeDirectory").map { "/run/\($0)" }
        // A path may begin with - (may be missing) and + (relative to the root directory).
        readWritePaths = words("ReadWritePaths").map { String($0.drop { $0 == "-" || $0 == "+" }) }
        hidden =
            (["yes", "tmpfs"].contains(values["ProtectHome"]) ? ["/home", "/root", "/run/user"] : [])
            + (values["PrivateTmp"] == "yes" ? ["/tmp", "/var/tmp"] : [])
        credentials = Self.credentials(dropIn)
    }

    /// The unit of this machine. Nil if there is none, or no systemd.
    static func installed() -> ServiceUnit? {
        let arguments = ["show", name] + properties.flatMap { ["-p", $0] }
        guard access("/run/systemd/system", F_OK) == 0, let text = Program.output("/usr/bin/systemctl", arguments)
        else { return nil }
        let dropIn = try? TextFile.read(dropInPath, limit: 1 << 16).get()
        return ServiceUnit(properties: text, dropIn: dropIn ?? "")
    }

    /// The addresses on which systemd listens for the service, by the setting that its sockets override.
    static func sockets() -> [String: (listens: String, unit: String)] {
        var found: [String: (listens: String, unit: String)] = [:]
        for (key, unit) in [(Settings.https.key, "postern.socket"), (Settings.http.key, "postern-http.socket")] {
            let shown = Program.output("/usr/bin/systemctl", ["show", unit, "-p", "Listen", "-p", "ActiveState"]) ?? ""
            let lines = shown.split(separator: "\n")
            let listens = lines.filter { $0.hasPrefix("Listen=") }
                .map { String($0.dropFirst("Listen=".count).prefix { $0 != " " }) }
            guard lines.contains("ActiveState=active"), !listens.isEmpty else { continue }
            found[key] = (listens.joined(separator: ","), unit)
        }
        return found
    }

    /// The name of the credential for each file of a setting: `tls-key`, `tls-key-2`.
    static func credentialName(_ key: String, _ index: Int) -> String { index == 0 ? key : "\(key)-\(index + 1)" }

    private static func credentials(_ dropIn: String) -> [String: [String]] {
        var found: [String: [String]] = [:]
        for line in dropIn.split(separator: "\n") where line.hasPrefix("LoadCredential=") {
            let parts = line.dropFirst("LoadCredential=".count).split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            for key in handedOver
            where found[key, default: []].count < 100 && parts[0] == credentialName(key, found[key]?.count ?? 0) {
                found[key, default: []].append(parts[1])
            }
        }
        return found
    }

    /// The settings whose files systemd can read for the service.
    static let handedOver = [
        Settings.tlsCertificate.key, Settings.tlsKey.key, Settings.tunnelCertificate.key, Settings.tunnelKey.key,
    ]
    /// The settings that name writable directories.
    static let written = [Settings.state.key, Settings.backupDirectory.key]

    func hides(_ path: String) -> Bool { Self.contains(hidden, path) }

    func mayWrite(_ path: String) -> Bool { !isReadOnly || Self.contains(ownDirectories + readWritePaths, path) }

    func owns(_ path: String) -> Bool { Self.contains(ownDirectories, path) }

    private static func contains(_ directories: [String], _ path: String) -> Bool {
        directories.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    // MARK: The service's user

    /// The user and group ids of the service. Nil if the user is root or does not exist.
    var account: (user: uid_t, group: gid_t)? {
        guard !user.isEmpty, let found = getpwnam(user) else { return nil }
        return (found.pointee.pw_uid, found.pointee.pw_gid)
    }

    /// Switches permanently to the service's user, if we are root.
    /// - Throws: ``CommandFailure`` if the system refuses.
    func become() throws {
        guard geteuid() == 0, let account else { return }
        guard setgroups(0, nil) == 0, setgid(account.group) == 0, setuid(account.user) == 0 else {
            throw CommandFailure("cannot become the user \(user): \(String(cString: strerror(errno)))")
        }
    }

    /// Checks access as the service's user and switches back to root. No other code runs meanwhile: the commands that
    /// use this have one thread.
    func allows(_ path: String, _ mode: CInt) -> Bool {
        guard geteuid() == 0, let account else { return access(path, mode) == 0 }
        guard setgroups(0, nil) == 0, setegid(account.group) == 0, seteuid(account.user) == 0 else { return false }
        defer { if seteuid(0) != 0 || setegid(0) != 0 { fatalError("cannot become root again") } }
        return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0
    }
}
