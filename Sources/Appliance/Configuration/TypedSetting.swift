/// A setting with the type of its value. Code that reads an unknown setting, or uses another type, does not compile.
struct TypedSetting<Value: Sendable>: AnyTypedSetting {
    let setting: Setting
    /// - Parameter text: accepted by ``Setting/problem(with:)``. Nil if the setting has no value.
    let read: @Sendable (String?) -> Value

    var key: String { setting.key }
}

/// A setting whose type does not matter here.
protocol AnyTypedSetting: Sendable {
    var setting: Setting { get }
}

extension TypedSetting where Value == String {
    /// Text with a default.
    static func text(
        _ key: String, _ kind: Setting.Kind, standard: String, _ help: String, reloads: Bool = false
    ) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: kind, standard: standard, help: help, reloads: reloads)) {
            $0 ?? standard
        }
    }
}

extension TypedSetting where Value == String? {
    static func optionalText(
        _ key: String, _ kind: Setting.Kind, _ help: String, reloads: Bool = false, isSecret: Bool = false
    ) -> TypedSetting {
        TypedSetting(
            setting: Setting(key: key, kind: kind, standard: nil, help: help, reloads: reloads, isSecret: isSecret)
        ) { $0 }
    }
}

extension TypedSetting where Value == Int {
    static func number(
        _ key: String, _ range: ClosedRange<Int>, standard: Int, _ help: String, reloads: Bool = false
    ) -> TypedSetting {
        TypedSetting(
            setting: Setting(key: key, kind: .number(range), standard: "\(standard)", help: help, reloads: reloads)
        ) { $0.flatMap { Int($0) } ?? standard }
    }
}

extension TypedSetting where Value == Int? {
    static func optionalNumber(_ key: String, _ range: ClosedRange<Int>, _ help: String) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: .number(range), standard: nil, help: help)) {
            $0.flatMap { Int($0) }
        }
    }
}

extension TypedSetting where Value == Bool {
    /// False unless it is set.
    static func yesNo(_ key: String, _ help: String, reloads: Bool = false) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: .yesNo, standard: "no", help: help, reloads: reloads)) {
            $0 == "yes" || $0 == "true"
        }
    }
}

extension TypedSetting where Value == [String] {
    /// - Parameter kind: the kind of each element.
    static func list(
        _ key: String, _ kind: Setting.Kind, standard: String? = nil, _ help: String, reloads: Bool = false
    ) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: kind, standard: standard, help: help, reloads: reloads)) {
            ($0 ?? "").split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
        }
    }
}

extension TypedSetting where Value == ListenAddress {
    static func address(_ key: String, standard: String, _ help: String) -> TypedSetting {
        TypedSetting(setting: Setting(key: key, kind: .address, standard: standard, help: help)) {
            $0.flatMap { ListenAddress($0) } ?? .off
        }
    }
}

extension TypedSetting where Value: RawRepresentable<String> & CaseIterable {
    /// One of an enumeration's words.
    static func choice(_ key: String, standard: Value, _ help: String, reloads: Bool = false) -> TypedSetting {
        let words = Value.allCases.map(\.rawValue)
        return TypedSetting(
            setting: Setting(
                key: key, kind: .choice(words), standard: standard.rawValue, help: help, reloads: reloads)
        ) { $0.flatMap { Value(rawValue: $0) } ?? standard }
    }
}

extension Configuration {
    subscript<Value>(setting: TypedSetting<Value>) -> Value { setting.read(self[setting.setting.key]?.text) }
}
