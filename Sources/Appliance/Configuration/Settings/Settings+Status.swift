extension Settings {
    /// The status page.
    static let statusGroup: [any AnyTypedSetting] = [
        publicNumbers
    ]

    static let publicNumbers = TypedSetting.yesNo(
        "public-numbers", "Show counts of sessions, guests and bytes on the status page to everybody.")
}
