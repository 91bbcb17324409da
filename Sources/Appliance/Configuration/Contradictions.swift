import Operations
import Storage
import TransportSecurity
import Web

/// Settings that are each right and do not go together. A server does not start with one, and `config check` says all of them.
struct Contradictions {
    private let values: [String: Configuration.Value]
    private(set) var found: [String] = []

    init(_ values: [String: Configuration.Value]) {
        self.values = values
        if text("https") == "off" && text("http") == "off" { add("http", "https and http are both off; turn one on") }
        if text("https") != "off" { certificates() }
        people()
        plans()
        providers()
        mail()
    }

    private func text(_ key: String) -> String? { values[key]?.text }

    private func count(_ key: String) -> Int { text(key)?.split(separator: ",").count ?? 0 }

    /// - Parameter key: the setting to look at, whose line is named.
    private mutating func add(_ key: String, _ text: String) {
        let source = values[key]?.source ?? ""
        found.append(source.isEmpty || source == "default" ? text : "\(source): \(text)")
    }

    private mutating func certificates() {
        switch text("tls-mode") {
        case "files":
            for key in ["tls-certificate", "tls-key"] where count(key) == 0 {
                add("tls-mode", "tls-mode is files, and \(key) is not set")
            }
            let (certificates, keys) = (count("tls-certificate"), count("tls-key"))
            if certificates > 0 && keys > 0 && certificates != keys {
                add("tls-key", "tls-certificate and tls-key go together; there are \(certificates) and \(keys)")
            }
        case "acme":
            if text("tls-names") == nil { add("tls-mode", "tls-mode is acme, and tls-names is not set") }
            if !["yes", "true"].contains(text("acme-agree")) {
                add("tls-mode", "tls-mode is acme: read the authority's terms, then set acme-agree: yes")
            }
            if (text("acme-eab-key-id") == nil) != (text("acme-eab-hmac-key") == nil) {
                add(
                    text("acme-eab-key-id") == nil ? "acme-eab-hmac-key" : "acme-eab-key-id",
                    "acme-eab-key-id and acme-eab-hmac-key go together; set both or none")
            }
        default: break
        }
    }

    private mutating func people() {
        guard let password = text("admin-password") else { return }
        if let name = text("admin-name"), !AccountRules.isUsername(name) {
            add("admin-name", "admin-name '\(name)' is no account name: \(AccountRules.usernameRule)")
        }
        if !AccountRules.isPassword(password) { add("admin-password", "admin-password: \(AccountRules.passwordRule)") }
    }

    private mutating func plans() {
        let changes = text("plan-limits").map { $0.split(separator: ",").map { String($0).trimmed } } ?? []
        for problem in PlanCatalogue().configure(standard: text("plan-default"), changes: changes) {
            add("plan-limits", "plan-limits: \(problem)")
        }
    }

    private mutating func providers() {
        if text("oidc-client-id") != nil && text("oidc-issuer") == nil {
            add("oidc-client-id", "oidc-client-id is set, and oidc-issuer is not")
        }
    }

    private mutating func mail() {
        guard let host = text("smtp-host") else { return }
        if text("smtp-from").map(AccountRules.isEmail) != true {
            add(text("smtp-from") == nil ? "smtp-host" : "smtp-from", "smtp-host is set, and smtp-from is no address")
        }
        if text("smtp-security") == "none" && !["localhost", "127.0.0.1", "::1"].contains(host) {
            add(
                "smtp-security",
                "smtp-security none is for a mail server on this machine, and smtp-host is \(host)")
        }
    }
}
