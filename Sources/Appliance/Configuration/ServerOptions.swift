import ArgumentParser

/// The flags of commands that use the server's own files. A flag has priority over the environment, and the environment over the file.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration file; defaults to /etc/postern/postern.yml if it exists.", valueName: "file"))
    var config: String?

    @Option(help: "Directory of the database and keys (/var/lib/postern).")
    var state: String?
}

/// The other flags of `postern serve`: one for each setting that is not a secret, generated from ``Settings``.
struct ServeOptions: ParsableArguments, CustomReflectable {
    private static let settings = Setting.all.filter { !$0.isSecret && $0.key != Settings.state.key }

    /// The given values, by key.
    private(set) var values: [String: String] = [:]

    init() {}

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Equivalent to what the compiler would generate for one property per setting.
    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for setting in Self.settings {
            let option = try container.decode(Option<String?>.self, forKey: Key(stringValue: setting.key))
            values[setting.key] = option.wrappedValue
        }
    }

    /// ArgumentParser finds a command's options by reflection: the name of a property and its wrapper.
    var customMirror: Mirror {
        Mirror(
            self, children: Self.settings.map { (label: "_\($0.key)", value: Self.option($0) as Any) },
            displayStyle: .struct)
    }

    private static func option(_ setting: Setting) -> Option<String?> {
        let standard = setting.standard.map { " (default: \($0))" } ?? ""
        // The words are in the text, because they are longer than a value's name.
        let words = setting.words.map { " One of \($0.joined(separator: ", "))." } ?? ""
        return Option<String?>(
            name: .customLong(setting.key), help: ArgumentHelp("\(setting.help)\(words)\(standard)"),
            completion: setting.words.map { .list($0) } ?? (setting.isPath ? .file() : nil))
    }
}
