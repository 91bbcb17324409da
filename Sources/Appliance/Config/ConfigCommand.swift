import ArgumentParser
import Database
import Model
import NIOCore
import Storage
import Web
import Wire

/// `postern config …`
struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Checks, shows and applies the server's configuration.",
        discussion: "Example: postern config check --config /etc/postern/postern.yml",
        subcommands: [ConfigCheck.self, ConfigShow.self, ConfigApply.self, ConfigExample.self])
}

struct ConfigCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Prints every mistake with its line; exits with 1 if there is one.",
        discussion: "Example: postern config check && systemctl reload postern")

    private struct Checked: Encodable {
        let file: String?
        let mistakes: [String]
        /// Settings that are allowed but should be improved.
        let advice: [String]
    }

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() throws {
        let configuration = Configuration(file: server.config, flags: server.flags)
        // Checked as the server's user: root may read files that the service may not read.
        let problems = ServiceCheck.problems(configuration, ServiceCheck.unit(for: configuration, flags: server.flags))
        let advice = problems.isEmpty ? Preflight.advice(configuration) : []
        if json {
            Output.json(Checked(file: configuration.file, mistakes: problems, advice: advice))
            if !problems.isEmpty { throw ExitCode(1) }
            return
        }
        try Configuration.refuse(problems)
        for one in advice { Output.error("postern: advice: \(one)") }
        Output.line("\(configuration.file ?? "No configuration file, and the environment"): no mistakes")
    }
}

struct ConfigShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Prints every effective setting and its source; secrets stay hidden.",
        discussion: "Example: postern config show --json | jq .")

    private struct Shown: Encodable {
        let key: String
        let value: String?
        let source: String
    }

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() throws {
        let configuration = try server.load()
        let isPackaged = ServiceCheck.unit(for: configuration, flags: server.flags) != nil
        for one in SettingInForce.all(configuration, sockets: isPackaged ? ServiceUnit.sockets() : [:]) {
            if json {
                Output.json(Shown(key: one.key, value: one.value, source: one.source))
            } else {
                let padded = one.key + String(repeating: " ", count: max(0, 24 - one.key.count))
                Output.line("\(padded) \(one.value ?? "-")  (\(one.source))")
            }
        }
    }
}

extension SettingInForce {
    /// All settings and their sources.
    /// - Parameter sockets: the addresses of systemd's sockets, by the setting that they override.
    static func all(
        _ configuration: Configuration, sockets: [String: (listens: String, unit: String)]
    ) -> [SettingInForce] {
        let sealed = StoredSecret.names(stateDirectory: configuration.stateDirectory)
        return Setting.all.map { setting in
            let value = configuration[setting.key]
            let isSealed = value == nil && sealed.contains(setting.key)
            let socket = sockets[setting.key]
            let text = setting.isSecret && (value != nil || isSealed) ? "(hidden)" : socket?.listens ?? value?.text
            let source = socket?.unit ?? value?.source ?? (isSealed ? "sealed in the database" : "not set")
            return SettingInForce(key: setting.key, value: text, source: source, help: setting.help)
        }
    }
}

struct ConfigExample: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example", abstract: "Prints a configuration file with every setting, commented.",
        discussion: "Example: postern config example > /etc/postern/postern.yml")

    func run() {
        var text = """
            # Postern's configuration. Every line here shows the default; remove the # to change it.
            # Each is also a variable (tls-mode: POSTERN_TLS_MODE) and a flag (--tls-mode) of 'postern serve'.
            # After a change: 'postern config check', then 'systemctl reload postern' (or restart; it says which).

            """
        for setting in Setting.all {
            let note = setting.reloads ? "" : " Needs a restart."
            let secret =
                setting.isSecret
                ? " Secret: prefer a systemd credential of this name, or \(setting.variable)_FILE." : ""
            text +=
                "\n# \(setting.help)\(choices(setting))\(note)\(secret)\n#\(setting.key): \(setting.standard.map(quoted) ?? "")\n"
        }
        Output.write(text, 1)
    }

    private func choices(_ setting: Setting) -> String {
        switch setting.kind {
        case .choice(let words): " One of \(words.joined(separator: ", "))."
        case .number(let range): " From \(range.lowerBound) to \(range.upperBound)."
        case .list: " A list: [box.example, 192.0.2.7]."
        case .paths: " A path, or a list: [/etc/ssl/a.pem, /etc/ssl/b.pem]."
        case .names: " A list: [box.example, 192.0.2.7]."
        case .addresses: " A list: [127.0.0.1, \"::1\"]."
        case .text, .path, .yesNo, .address, .url, .domain, .ports: ""
        }
    }

    /// In YAML, `*` begins an alias.
    private func quoted(_ text: String) -> String { text.hasPrefix("*") ? "\"\(text)\"" : text }
}
