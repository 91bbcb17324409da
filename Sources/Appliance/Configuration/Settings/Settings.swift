/// All settings, each defined once: its line in the file, its variable, its flag and its text in the documentation are
/// generated from here.
///
/// The settings of a feature are in a file with its name. A new feature adds its group to ``all``.
enum Settings {
    /// In the order of the configuration file.
    static let all: [any AnyTypedSetting] =
        [state] + listeningGroup + certificatesGroup + sharingGroup + tunnelsGroup + accountsGroup + plansGroup
        + mailGroup
        + limitsGroup
        + backupsGroup + statusGroup + serverGroup
}
