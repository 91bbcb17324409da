extension Settings {
    /// Backups and free space.
    static let backupsGroup: [any AnyTypedSetting] = [
        backupEveryHours, backupKeep, backupDirectory, diskReserveMiB,
    ]

    static let backupEveryHours = TypedSetting.number(
        "backup-every-hours", 0...8760, standard: 24, "Hours between backups of the database; 0 makes none.")
    static let backupKeep = TypedSetting.number(
        "backup-keep", 1...1000, standard: 7, "Number of scheduled backups to keep; older ones are removed.")
    static let backupDirectory = TypedSetting.optionalText(
        "backup-directory", .path, "Directory for scheduled backups; defaults to backups/ in the state directory.")
    static let diskReserveMiB = TypedSetting.number(
        "disk-reserve-mib", 1...1_000_000, standard: 64,
        "Free space on the state directory's disk, in MiB, below which writes are refused while reads continue.")
}
