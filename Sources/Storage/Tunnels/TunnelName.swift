public import Model

/// The rules for a tunnel's name: one label of a host name.
public enum TunnelName {
    /// Names that visitors would take for the server's own, or that mail and certificate authorities treat specially (RFC 2142).
    private static let reserved: Set<String> = [
        "abuse", "account", "accounts", "acme", "admin", "administrator", "api", "app", "auth", "autoconfig",
        "autodiscover", "billing",
        "blog", "cdn", "console", "dashboard", "dev", "dns", "docs", "ftp", "help", "hostmaster", "id", "imap", "info",
        "internal",
        "invoice", "link", "local", "localhost", "login", "mail", "marketing", "mx", "news", "noc", "ns", "ns1", "ns2",
        "oauth", "pay",
        "payment", "payments", "pop", "pop3", "portal", "postern", "postmaster", "register", "relay", "root", "sales",
        "secure",
        "security", "signin", "sign-in", "signup", "sign-up", "smtp", "ssl", "ssladmin", "ssladministrator",
        "sslwebmaster", "sso",
        "static", "status", "support", "sysadmin", "test", "tls", "tunnel", "update", "verify", "vpn", "webmail",
        "webmaster", "wpad",
        "www",
    ]

    /// Words that phishing sites use in their names.
    private static let brands = [
        "amazon", "apple", "binance", "coinbase", "facebook", "github", "google", "icloud", "instagram", "microsoft",
        "netflix",
        "office365", "outlook", "paypal", "whatsapp",
    ]

    /// - Throws: ``Refusal`` `.invalid` that names the violated rule.
    static func check(_ name: String) throws(Refusal) {
        guard isLabel(name) else {
            throw Refusal(
                .invalid,
                "A tunnel's name is 3 to 63 characters long: lower-case letters, digits and hyphens, without a hyphen at the beginning or the end."
            )
        }
        // A number would look like a port.
        guard !reserved.contains(name), !name.hasPrefix("xn--"), !name.allSatisfy(\.isNumber) else {
            throw Refusal(.nameTaken, "The name \(name) is reserved; choose another one.")
        }
        let plain = name.replacing("-", with: "").replacing("0", with: "o").replacing("1", with: "l")
        if let brand = brands.first(where: { plain.contains($0) }) {
            throw Refusal(.nameTaken, "The name \(name) is too similar to \(brand); choose another one.")
        }
    }

    /// RFC 1123, section 2.1, in lower case.
    public static func isLabel(_ name: String) -> Bool {
        let isMade = name.utf8.allSatisfy { byte in
            byte >= 0x61 && byte <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x2D
        }
        return (3...63).contains(name.utf8.count) && isMade && !name.hasPrefix("-") && !name.hasSuffix("-")
    }

    /// Three random words.
    public static func random() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<3).map { _ in WordList.words.randomElement(using: &generator) ?? "box" }.joined(separator: "-")
    }
}
