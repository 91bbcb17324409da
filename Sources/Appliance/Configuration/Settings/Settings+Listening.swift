extension Settings {
    /// The server's listeners and its public address.
    static let listeningGroup: [any AnyTypedSetting] = [
        https, http, publicURL, trustedProxies,
    ]

    static let https = TypedSetting.address(
        "https", standard: "*:8443", "Address for HTTPS. Sockets that systemd hands over win over it.")
    static let http = TypedSetting.address(
        "http", standard: "off",
        "Address for plain HTTP: redirects to HTTPS and answers ACME checks; serves everything where https is off.")
    static let publicURL = TypedSetting.optionalText(
        "public-url", .url(["https", "http"]),
        "Address that people reach this server by, as in https://box.example; guessed from tls-names if it is not set.")
    static let trustedProxies = TypedSetting.list(
        "trusted-proxies", .addresses,
        "Addresses of web servers in front of this one: their clients are told apart by X-Forwarded-For, which nobody else is believed."
    )
}
