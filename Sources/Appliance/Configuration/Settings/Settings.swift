/// Every setting, written once: its line in the file, its variable, its flag and its text in the documentation are made from here.
///
/// A feature's settings stand together in a file of its name; a new feature adds its group to ``all``.
enum Settings {
    /// In the order of the configuration file.
    static let all: [any AnyTypedSetting] =
        [state] + listeningGroup + certificatesGroup + sharingGroup + tunnelsGroup + accountsGroup + plansGroup
        + mailGroup
        + limitsGroup
        + backupsGroup + statusGroup + serverGroup
}
