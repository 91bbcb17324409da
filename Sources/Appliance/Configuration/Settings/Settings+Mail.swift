import Identity

extension Settings {
    /// The mail server.
    static let mailGroup: [any AnyTypedSetting] = [
        smtpHost, smtpPort, smtpSecurity, smtpUser, smtpPassword, smtpFrom,
    ]

    static let smtpHost = TypedSetting.optionalText(
        "smtp-host", .text, "The mail server to send through; without it no mail is sent.")
    static let smtpPort = TypedSetting.number("smtp-port", 1...65535, standard: 587, "Port of the mail server.")
    static let smtpSecurity = TypedSetting<SMTPClient.Security>.choice(
        "smtp-security", standard: .startTLS,
        "TLS after STARTTLS, from the first byte, or not at all (on this machine only).")
    static let smtpUser = TypedSetting.optionalText(
        "smtp-user", .text, "Account at the mail server, if it requires one.")
    static let smtpPassword = TypedSetting.optionalText(
        "smtp-password", .text, "Password of the account at the mail server.", isSecret: true)
    static let smtpFrom = TypedSetting.optionalText("smtp-from", .text, "The sender address of mails.")
}
