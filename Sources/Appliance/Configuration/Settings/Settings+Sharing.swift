extension Settings {
    /// Share sessions.
    static let sharingGroup: [any AnyTypedSetting] = [
        hostReturn, guestReturn, historyDays,
    ]

    static let hostReturn = TypedSetting.number(
        "host-return", 1...86400, standard: 300, "Seconds that a session waits for a host whose connection dropped.")
    static let guestReturn = TypedSetting.number(
        "guest-return", 1...86400, standard: 120,
        "Seconds that a guest's place is kept, and counts as taken, after its connection dropped.")
    static let historyDays = TypedSetting.number(
        "history-days", 0...36_500, standard: 400,
        "Days that ended share sessions are kept, with their codes and guests; 0 keeps them for ever.")
}
