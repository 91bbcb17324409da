extension Settings {
    /// Rate limits of an address.
    static let limitsGroup: [any AnyTypedSetting] = [
        joinsPerMinute, publicCallsPerMinute, connectionsPerAddress,
    ]

    static let joinsPerMinute = TypedSetting.number(
        "joins-per-minute", 1...1_000_000, standard: 60, "Joins per minute, from one address and by one account.",
        reloads: true)
    static let publicCallsPerMinute = TypedSetting.number(
        "public-calls-per-minute", 1...1_000_000, standard: 30, "Sign-ins and code checks per minute from one address.",
        reloads: true)
    static let connectionsPerAddress = TypedSetting.number(
        "connections-per-address", 1...1_000_000, standard: 256, "Concurrent connections from one address.",
        reloads: true)
}
