import Database
import Files
import FoundationEssentials
import Glibc
import Model
import Storage

/// The effective settings and their sources. A flag has priority over the environment, the environment over the file,
/// and the file over the default.
struct Configuration: Sendable {
    struct Value: Sendable {
        let text: String
        /// As shown by `config show`: `flag`, `POSTERN_TLS_MODE`, `line 12`, `default`.
        let source: String
    }

    static let standardFile = "/etc/postern/postern.yml"
    /// The maximum size in bytes. A configuration file is a page, and this is enough for a hundred.
    private static let fileLimit = 1 << 20
    /// The maximum number of files that systemd passes for one setting.
    private static let filesLimit = 100

    /// The file that was read, if there was one.
    let file: String?
    private let values: [String: Value]
    let problems: [String]

    /// Collects all mistakes and throws nothing, so that `config check` can show all of them.
    /// - Parameters:
    ///   - file: nil reads ``standardFile`` if there is one.
    ///   - flags: by key.
    init(file: String?, flags: [String: String]) {
        var problems: [String] = []
        var values: [String: Value] = [:]
        let path = file ?? Self.standardFile
        let text = TextFile.read(path, limit: Self.fileLimit)
        if case .success(let text) = text {
            let parsed = ConfigurationFile(yaml: text)
            problems += parsed.problems.map { "\(path), \($0)" }
            for (key, entry) in parsed.entries { values[key] = Value(text: entry.value, source: "line \(entry.line)") }
            self.file = path
        } else {
            self.file = nil
            if case .failure(let error) = text, file != nil || error.number != ENOENT {
                let remedy = error.number == EACCES && geteuid() != 0 ? "; run this with sudo" : ""
                problems.append("cannot read \(path): \(error.message)\(remedy)")
            }
        }
        problems += Self.strangers()
        for setting in Setting.all {
            for (source, found) in Self.outside(setting, flags, &problems) {
                if let problem = setting.problem(with: found) {
                    problems.append("\(source): '\(setting.key)' \(problem), not '\(setting.isSecret ? "…" : found)'")
                } else {
                    values[setting.key] = Value(text: found, source: source)
                }
            }
            if values[setting.key] == nil { values[setting.key] = Self.standard(setting) }
        }
        self.values = values
        self.problems = problems + Contradictions(values).found
    }

    /// Variables with our prefix that nothing reads. They may be misspelt, like an unknown key in the file.
    private static func strangers() -> [String] {
        let known = Set(Setting.all.flatMap { [$0.variable, $0.variable + "_FILE"] })
        return ProcessInfo.processInfo.environment.keys.filter {
            $0.hasPrefix("POSTERN_") && !known.contains($0) && !ofClients.contains($0)
        }
        .sorted().compactMap { name in
            let key = name.dropFirst("POSTERN_".count).lowercased().map { $0 == "_" ? "-" : String($0) }.joined()
            // Other programs may have variables with the same prefix.
            return Setting.nearest(to: key).map { near in
                "unknown variable \(name); did you mean \(Setting.named(near)?.variable ?? near)?"
            }
        }
    }

    /// The variables that client commands read and set.
    private static let ofClients: Set<String> = [
        "POSTERN_URL", "POSTERN_TOKEN", "POSTERN_FINGERPRINT", "POSTERN_SHARED",
    ]

    private static func standard(_ setting: Setting) -> Value? {
        // Has less priority than the file: the owner's commands do not see this variable and must find the same database.
        if setting.key == Settings.state.key, let directory = environment("STATE_DIRECTORY") {
            return Value(text: directory, source: "STATE_DIRECTORY")
        }
        return setting.standard.map { Value(text: $0, source: "default") }
    }

    /// The values from outside the file, lowest priority first.
    private static func outside(
        _ setting: Setting, _ flags: [String: String], _ problems: inout [String]
    ) -> [(String, String)] {
        var found: [(String, String)] = []
        // systemd passes credentials to a service.
        if setting.isSecret, let directory = environment("CREDENTIALS_DIRECTORY"),
            case .success(let text) = TextFile.read("\(directory)/\(setting.key)", limit: fileLimit)
        {
            found.append(("credential", text.trimmed))
        }
        // Certificates that only root can read (`postern config apply`): the value is the path at which systemd provides them.
        if ServiceUnit.handedOver.contains(setting.key), let directory = environment("CREDENTIALS_DIRECTORY") {
            let paths = (0..<Self.filesLimit).map { "\(directory)/\(ServiceUnit.credentialName(setting.key, $0))" }
                .prefix { (path: String) in access(path, R_OK) == 0 }
            if !paths.isEmpty { found.append(("credential", paths.joined(separator: ","))) }
        }
        if setting.isSecret, let path = environment(setting.variable + "_FILE") {
            switch TextFile.read(path, limit: fileLimit, allowsPipe: true) {
            case .success(let text): found.append((setting.variable + "_FILE", text.trimmed))
            case .failure(let error): problems.append("\(setting.variable)_FILE: cannot read \(path): \(error.message)")
            }
        }
        if let value = environment(setting.variable) { found.append((setting.variable, value)) }
        if let value = flags[setting.key] { found.append((setting.flag, value)) }
        return found
    }

    // MARK: Reading

    /// The master key, if systemd provides it: `LoadCredential=master-key:…`.
    static var masterKeyCredential: String? {
        guard let directory = environment("CREDENTIALS_DIRECTORY") else { return nil }
        let path = "\(directory)/master-key"
        return access(path, R_OK) == 0 ? path : nil
    }

    /// The limits of the plans, with the owner's changes.
    var plans: PlanCatalogue {
        let plans = PlanCatalogue()
        plans.configure(standard: self[Settings.planDefault].rawValue, changes: self[Settings.planLimits])
        return plans
    }

    subscript(key: String) -> Value? { values[key] }

    var stateDirectory: String { self[Settings.state] }

    /// - Throws: ``CommandFailure`` with all mistakes, one per line.
    func checked() throws -> Configuration {
        try Self.refuse(problems)
        return self
    }

    /// - Throws: ``CommandFailure`` if there are mistakes.
    static func refuse(_ problems: [String]) throws {
        if problems.isEmpty { return }
        // Not a mistake in the configuration: the file could not be read.
        if problems.count == 1, let problem = problems.first, problem.hasSuffix("run this with sudo") {
            throw CommandFailure("\(problem)")
        }
        // A wrong flag is wrong usage, as for any other command.
        throw CommandFailure(
            "the configuration has mistakes:\n  \(problems.map { "\($0)" as TerminalText }.joined(separator: "\n  "))",
            status: problems.contains { $0.hasPrefix("--") } ? 2 : 1)
    }

}

extension ServerOptions {
    /// Returns the configuration, or throws all mistakes in it.
    /// - Throws: ``CommandFailure``.
    func load(_ others: [String: String] = [:]) throws -> Configuration {
        try Configuration(file: config, flags: others.merging(flags) { $1 }).checked()
    }

    /// The given values, by key.
    var flags: [String: String] {
        guard let state else { return [:] }
        // A relative directory is relative to the current directory, wherever the file is.
        return ["state": state.hasPrefix("/") ? state : "\(currentDirectory())/\(state)"]
    }

    private func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }
}
