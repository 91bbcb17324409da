extension Setting {
    /// Every setting, in the order of the configuration file.
    static let all: [Setting] = Settings.all.map(\.setting)

    static func named(_ key: String) -> Setting? { all.first { $0.key == key } }

    /// The known key that is most similar to a wrong one, if any is similar enough.
    static func nearest(to key: String) -> String? { Spelling.nearest(to: key, in: all.map(\.key)) }
}
