import ArgumentParser

/// The flags of commands that work on the server's own files. A flag wins over the environment, that over the file.
struct ServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration file; without it /etc/postern/postern.yml, if there is one.", valueName: "file"))
    var config: String?

    @Option(help: "Directory of the database and keys (/var/lib/postern).")
    var state: String?
}

/// The other flags of `postern serve`, one for each setting; the texts stand in ``Setting``.
struct ServeOptions: ParsableArguments {
    @Option(help: Self.help("https")) var https: String?
    @Option(help: Self.help("http")) var http: String?
    @Option(help: Self.help("public-url")) var publicUrl: String?
    @Option(help: Self.help("tls-mode")) var tlsMode: String?
    @Option(help: Self.help("tls-names")) var tlsNames: String?
    @Option(help: Self.help("tls-certificate")) var tlsCertificate: String?
    @Option(help: Self.help("tls-key")) var tlsKey: String?
    @Option(help: Self.help("acme-directory")) var acmeDirectory: String?
    @Option(help: Self.help("acme-email")) var acmeEmail: String?
    @Option(help: Self.help("acme-agree")) var acmeAgree: String?
    @Option(help: Self.help("acme-challenge")) var acmeChallenge: String?
    @Option(help: Self.help("acme-ca-file")) var acmeCaFile: String?
    @Option(help: Self.help("acme-eab-key-id")) var acmeEabKeyId: String?
    // acme-eab-hmac-key has no flag: secrets do not belong into a list of processes.
    @Option(help: Self.help("host-return")) var hostReturn: String?
    @Option(help: Self.help("guest-return")) var guestReturn: String?
    @Option(help: Self.help("event-loops")) var eventLoops: String?
    @Option(help: Self.help("registration")) var registration: String?
    @Option(help: Self.help("plan-default")) var planDefault: String?
    @Option(help: Self.help("plan-limits")) var planLimits: String?
    @Option(help: Self.help("upgrade-url")) var upgradeUrl: String?
    @Option(help: Self.help("admin-name")) var adminName: String?
    // admin-password and the other secrets have none either.
    @Option(help: Self.help("github-client-id")) var githubClientId: String?
    @Option(help: Self.help("github-url")) var githubUrl: String?
    @Option(help: Self.help("github-api-url")) var githubApiUrl: String?
    @Option(help: Self.help("google-client-id")) var googleClientId: String?
    @Option(help: Self.help("google-issuer")) var googleIssuer: String?
    @Option(help: Self.help("oidc-issuer")) var oidcIssuer: String?
    @Option(help: Self.help("oidc-client-id")) var oidcClientId: String?
    @Option(help: Self.help("oidc-title")) var oidcTitle: String?
    @Option(help: Self.help("provider-ca-file")) var providerCaFile: String?
    @Option(help: Self.help("frontend-urls")) var frontendUrls: String?
    @Option(help: Self.help("smtp-host")) var smtpHost: String?
    @Option(help: Self.help("smtp-port")) var smtpPort: String?
    @Option(help: Self.help("smtp-security")) var smtpSecurity: String?
    @Option(help: Self.help("smtp-user")) var smtpUser: String?
    @Option(help: Self.help("smtp-from")) var smtpFrom: String?
    @Option(help: Self.help("joins-per-minute")) var joinsPerMinute: String?
    @Option(help: Self.help("public-calls-per-minute")) var publicCallsPerMinute: String?
    @Option(help: Self.help("connections-per-address")) var connectionsPerAddress: String?
    @Option(help: Self.help("trusted-proxies")) var trustedProxies: String?
    @Option(help: Self.help("backup-every-hours")) var backupEveryHours: String?
    @Option(help: Self.help("backup-keep")) var backupKeep: String?
    @Option(help: Self.help("backup-directory")) var backupDirectory: String?
    @Option(help: Self.help("disk-reserve-mib")) var diskReserveMib: String?
    @Option(help: Self.help("history-days")) var historyDays: String?
    @Option(help: Self.help("public-numbers")) var publicNumbers: String?
    @Option(help: Self.help("log-level")) var logLevel: String?
    @Option(help: Self.help("log-format")) var logFormat: String?
    @Option(help: Self.help("log-addresses")) var logAddresses: String?

    /// What was given, by key.
    var values: [String: String] {
        [
            "https": https, "http": http, "public-url": publicUrl, "tls-mode": tlsMode, "tls-names": tlsNames,
            "tls-certificate": tlsCertificate, "tls-key": tlsKey, "acme-directory": acmeDirectory,
            "acme-email": acmeEmail, "acme-agree": acmeAgree, "acme-challenge": acmeChallenge,
            "acme-ca-file": acmeCaFile, "acme-eab-key-id": acmeEabKeyId, "host-return": hostReturn,
            "guest-return": guestReturn, "event-loops": eventLoops,
            "registration": registration, "plan-default": planDefault, "plan-limits": planLimits,
            "upgrade-url": upgradeUrl, "admin-name": adminName,
            "github-client-id": githubClientId, "github-url": githubUrl, "github-api-url": githubApiUrl,
            "google-client-id": googleClientId, "google-issuer": googleIssuer, "oidc-issuer": oidcIssuer,
            "oidc-client-id": oidcClientId, "oidc-title": oidcTitle, "provider-ca-file": providerCaFile,
            "frontend-urls": frontendUrls, "smtp-host": smtpHost, "smtp-port": smtpPort, "smtp-security": smtpSecurity,
            "smtp-user": smtpUser, "smtp-from": smtpFrom,
            "joins-per-minute": joinsPerMinute, "trusted-proxies": trustedProxies,
            "public-calls-per-minute": publicCallsPerMinute,
            "connections-per-address": connectionsPerAddress, "backup-every-hours": backupEveryHours,
            "backup-keep": backupKeep, "backup-directory": backupDirectory, "disk-reserve-mib": diskReserveMib,
            "history-days": historyDays,
            "public-numbers": publicNumbers, "log-level": logLevel, "log-format": logFormat,
            "log-addresses": logAddresses,
        ].compactMapValues { $0 }
    }

    private static func help(_ key: String) -> ArgumentHelp {
        guard let setting = Setting.named(key) else { return "" }
        let value = setting.standard.map { " (default: \($0))" } ?? ""
        return ArgumentHelp("\(setting.help)\(value)")
    }
}
