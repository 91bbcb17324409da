extension Settings {
    /// The server's listeners and its public address.
    static let listeningGroup: [any AnyTypedSetting] = [
        https, http, publicURL, trustedProxies,
    ]

    static let https = TypedSetting.address(
        "https", standard: "*:8443", "Address for HTTPS. Sockets passed by systemd take precedence.")
    static let http = TypedSetting.address(
        "http", standard: "off",
        "Address for plain HTTP: redirects to HTTPS and answers ACME checks; serves everything if https is off.")
    static let publicURL = TypedSetting.optionalText(
        "public-url", .url(["https", "http"]),
        "Public address of this server, as in https://box.example; derived from tls-names if it is not set.")
    static let trustedProxies = TypedSetting.list(
        "trusted-proxies", .addresses,
        "Addresses of reverse proxies in front of this server: X-Forwarded-For is trusted only from these addresses."
    )
}
