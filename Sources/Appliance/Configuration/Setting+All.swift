import TransportSecurity

extension Setting {
    /// Every setting, in the order of the configuration file.
    static let all: [Setting] = [
        Setting(
            key: "state", kind: .path, standard: "/var/lib/postern",
            help: "Directory of the database, keys and certificates; made if it is missing."),

        Setting(
            key: "https", kind: .address, standard: "*:8443",
            help: "Address for HTTPS. Sockets that systemd hands over win over it."),
        Setting(
            key: "http", kind: .address, standard: "off",
            help:
                "Address for plain HTTP: redirects to HTTPS and answers ACME checks; serves everything where https is off."
        ),
        Setting(
            key: "public-url", kind: .url(["https", "http"]), standard: nil,
            help:
                "Address that people reach this server by, as in https://box.example; guessed from tls-names if it is not set."
        ),

        Setting(
            key: "tls-mode", kind: .choice(["self-signed", "files", "acme"]), standard: "self-signed",
            help: "Where the certificate comes from."),
        Setting(
            key: "tls-names", kind: .names, standard: nil,
            help: "Names and addresses of this server; acme orders a certificate for them."),
        Setting(
            key: "tls-certificate", kind: .paths, standard: nil,
            help:
                "With tls-mode files: the certificate and its chain, PEM; several where each is for other names, the first for clients that ask for none.",
            reloads: true),
        Setting(
            key: "tls-key", kind: .paths, standard: nil,
            help: "With tls-mode files: the certificate's private key, PEM; as many as certificates, in their order.",
            reloads: true),

        Setting(
            key: "acme-directory", kind: .url(["https"]), standard: "https://acme-v02.api.letsencrypt.org/directory",
            help: "With tls-mode acme: the certificate authority's directory."),
        Setting(
            key: "acme-email", kind: .text, standard: nil,
            help: "Where the certificate authority may write to."),
        Setting(
            key: "acme-agree", kind: .yesNo, standard: "no",
            help: "You agree to the certificate authority's terms of service; acme needs a yes."),
        Setting(
            key: "acme-challenge", kind: .choice(["http-01", "tls-alpn-01"]), standard: "http-01",
            help: "How names are proved: on port 80, or on port 443."),
        Setting(
            key: "acme-ca-file", kind: .path, standard: nil,
            help: "Root certificates of the directory's own HTTPS, PEM, where the system does not know them."),
        Setting(
            key: "acme-eab-key-id", kind: .text, standard: nil,
            help: "External account binding: the key's name, from the authority."),
        Setting(
            key: "acme-eab-hmac-key", kind: .text, standard: nil,
            help: "External account binding: the key, base64url.", isSecret: true),

        Setting(
            key: "host-return", kind: .number(1...86400), standard: "300",
            help: "Seconds that a session waits for a host whose connection dropped."),
        Setting(
            key: "guest-return", kind: .number(1...86400), standard: "120",
            help: "Seconds that a guest's seat waits for it, and counts as taken, after its connection dropped."),
        Setting(
            key: "event-loops", kind: .number(1...256), standard: nil,
            help:
                "Threads that serve connections, each its share of the rooms; one for each processor if it is not set."),
        Setting(
            key: "registration", kind: .choice(["open", "invited", "closed"]), standard: "invited",
            help: "Who may make an account: anybody, people with an organisation's invitation, or nobody but the owner."
        ),
        Setting(
            key: "plan-default", kind: .choice(["free", "pro", "team", "enterprise", "admin"]), standard: "enterprise",
            help: "The plan of new organisations.", reloads: true),
        Setting(
            key: "plan-limits", kind: .list, standard: nil,
            help: "Changes to what plans allow, as in free.maxShares=2 or pro.maxViewers=unlimited.", reloads: true),
        Setting(
            key: "upgrade-url", kind: .url(["https", "http"]), standard: nil,
            help: "Where people who reached a limit of their plan are sent; the plan's page here if it is not set."),
        Setting(
            key: "admin-name", kind: .text, standard: "admin",
            help: "The account that admin-password makes."),
        Setting(
            key: "admin-password", kind: .text, standard: nil,
            help: "Makes an administrator with this password where there is none yet; then there is no setup link.",
            isSecret: true),

        Setting(
            key: "github-client-id", kind: .text, standard: nil,
            help: "Signing in with GitHub: the OAuth app's client id; its callback is PUBLIC-URL/auth/github/callback."),
        Setting(
            key: "github-client-secret", kind: .text, standard: nil,
            help: "The OAuth app's client secret.", isSecret: true),
        Setting(
            key: "github-url", kind: .url(["https", "http"]), standard: "https://github.com",
            help: "GitHub's address, or an enterprise server's."),
        Setting(
            key: "github-api-url", kind: .url(["https", "http"]), standard: "https://api.github.com",
            help: "GitHub's API, or an enterprise server's."),
        Setting(
            key: "google-client-id", kind: .text, standard: nil,
            help: "Signing in with Google: the client id; its callback is PUBLIC-URL/auth/google/callback."),
        Setting(
            key: "google-client-secret", kind: .text, standard: nil,
            help: "Google's client secret.", isSecret: true),
        Setting(
            key: "google-issuer", kind: .url(["https", "http"]), standard: "https://accounts.google.com",
            help: "Google's issuer."),
        Setting(
            key: "oidc-issuer", kind: .url(["https", "http"]), standard: nil,
            help: "Signing in with any OpenID Connect provider: its issuer, exactly as it spells it."),
        Setting(
            key: "oidc-client-id", kind: .text, standard: nil,
            help: "The client id there; its callback is PUBLIC-URL/auth/oidc/callback."),
        Setting(
            key: "oidc-client-secret", kind: .text, standard: nil,
            help: "The client secret there.", isSecret: true),
        Setting(
            key: "oidc-title", kind: .text, standard: "OpenID",
            help: "What people know the provider as."),
        Setting(
            key: "provider-ca-file", kind: .path, standard: nil,
            help: "Root certificates of providers and the mail server, PEM, where the system does not know them."),
        Setting(
            key: "frontend-urls", kind: .list, standard: "claudelander://",
            help:
                "Programs that may be given a token after a sign-in with a provider; the first is the one of those who name none."
        ),
        Setting(
            key: "smtp-host", kind: .text, standard: nil,
            help: "The mail server that takes our mails; without it nothing is sent."),
        Setting(
            key: "smtp-port", kind: .number(1...65535), standard: "587",
            help: "Its port."),
        Setting(
            key: "smtp-security", kind: .choice(["starttls", "tls", "none"]), standard: "starttls",
            help: "TLS after STARTTLS, from the first byte, or not at all (on this machine only)."),
        Setting(
            key: "smtp-user", kind: .text, standard: nil,
            help: "Account at the mail server, if it wants one."),
        Setting(
            key: "smtp-password", kind: .text, standard: nil,
            help: "Its password.", isSecret: true),
        Setting(
            key: "smtp-from", kind: .text, standard: nil,
            help: "The address that our mails come from."),

        Setting(
            key: "joins-per-minute", kind: .number(1...1_000_000), standard: "60",
            help: "Joins per minute, from one address and by one account.", reloads: true),
        Setting(
            key: "public-calls-per-minute", kind: .number(1...1_000_000), standard: "30",
            help: "Sign-ins and code checks per minute from one address.", reloads: true),
        Setting(
            key: "connections-per-address", kind: .number(1...1_000_000), standard: "256",
            help: "Connections at once from one address.", reloads: true),
        Setting(
            key: "trusted-proxies", kind: .addresses, standard: nil,
            help:
                "Addresses of web servers in front of this one: their clients are told apart by X-Forwarded-For, which nobody else is believed."
        ),

        Setting(
            key: "backup-every-hours", kind: .number(0...8760), standard: "24",
            help: "Hours between backups of the database; 0 makes none."),
        Setting(
            key: "backup-keep", kind: .number(1...1000), standard: "7",
            help: "Scheduled backups that are kept; older ones are removed."),
        Setting(
            key: "backup-directory", kind: .path, standard: nil,
            help: "Where scheduled backups go; backups/ in the state directory if it is not set."),
        Setting(
            key: "disk-reserve-mib", kind: .number(1...1_000_000), standard: "64",
            help: "Free space on the state directory's disk, in MiB, below which writes are refused while reads go on."),

        Setting(
            key: "history-days", kind: .number(0...36_500), standard: "400",
            help: "Days that ended share sessions are kept, with their codes and guests; 0 keeps them for ever."),

        Setting(
            key: "public-numbers", kind: .yesNo, standard: "no",
            help: "Show counts of sessions, guests and bytes on the status page to everybody."),
        Setting(
            key: "log-level", kind: .choice(["debug", "info", "warning", "error"]), standard: "info",
            help: "How much is logged.", reloads: true),
        Setting(
            key: "log-format", kind: .choice(["logfmt", "json"]), standard: "logfmt",
            help: "How log lines are written."),
        Setting(
            key: "log-addresses", kind: .yesNo, standard: "no",
            help: "Put clients' network addresses into the log.", reloads: true),
    ]

    static func named(_ key: String) -> Setting? { all.first { $0.key == key } }

    /// The known key that a wrong one is most like, if any is near.
    static func nearest(to key: String) -> String? {
        // A third of its letters at most: short keys are near to everything.
        all.map { ($0.key, distance($0.key, key)) }.filter { $0.1 <= min(3, $0.0.count / 3) }.min { $0.1 < $1.1 }?.0
    }

    /// Levenshtein's: insertions, deletions and substitutions.
    private static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left), Array(right))
        var row = Array(0...right.count)
        for (i, character) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in right.enumerated() {
                let cost = min(diagonal + (character == other ? 0 : 1), row[j] + 1, row[j + 1] + 1)
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }
}
