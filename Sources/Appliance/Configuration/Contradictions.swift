import Identity
import Operations
import Storage
import TransportSecurity
import Web

/// Settings that are each valid but contradict each other. A server does not start with a contradiction, and `config
/// check` shows all of them.
struct Contradictions {
    private let values: [String: Configuration.Value]
    private(set) var found: [String] = []

    init(_ values: [String: Configuration.Value]) {
        self.values = values
        if self[Settings.https] == .off && self[Settings.http] == .off {
            add("http", "https and http are both off; turn one on")
        }
        if self[Settings.https] != .off { certificates() }
        tunnels()
        people()
        plans()
        providers()
        mail()
    }

    private subscript<Value>(setting: TypedSetting<Value>) -> Value { setting.read(values[setting.key]?.text) }

    /// - Parameter key: the setting that is reported, with its line.
    private mutating func add(_ key: String, _ text: String) {
        let source = values[key]?.source ?? ""
        found.append(source.isEmpty || source == "default" ? text : "\(source): \(text)")
    }

    private mutating func certificates() {
        switch self[Settings.tlsMode] {
        case .files:
            for setting in [Settings.tlsCertificate, Settings.tlsKey] where self[setting].isEmpty {
                add("tls-mode", "tls-mode is files, but \(setting.key) is not set")
            }
            let (certificates, keys) = (self[Settings.tlsCertificate].count, self[Settings.tlsKey].count)
            if certificates > 0 && keys > 0 && certificates != keys {
                add("tls-key", "tls-certificate and tls-key go together; there are \(certificates) and \(keys)")
            }
        case .acme:
            if self[Settings.tlsNames].isEmpty { add("tls-mode", "tls-mode is acme, but tls-names is not set") }
            if !self[Settings.acmeAgree] {
                add("tls-mode", "tls-mode is acme: read the authority's terms, then set acme-agree: yes")
            }
            if (self[Settings.acmeEABKeyId] == nil) != (self[Settings.acmeEABHMACKey] == nil) {
                add(
                    self[Settings.acmeEABKeyId] == nil ? "acme-eab-hmac-key" : "acme-eab-key-id",
                    "acme-eab-key-id and acme-eab-hmac-key go together; set both or none")
            }
        case .selfSigned: break
        }
    }

    /// Scripts and cookies of a tunnel's pages reach every host of the domain above them.
    private mutating func tunnels() {
        if (self[Settings.tunnelCertificate] == nil) != (self[Settings.tunnelKey] == nil) {
            add(
                self[Settings.tunnelKey] == nil ? "tunnel-certificate" : "tunnel-key",
                "tunnel-certificate and tunnel-key go together; set both or none")
        }
        if self[Settings.tunnelACME] != .off {
            if self[Settings.tunnelDomain] == nil { add("tunnel-acme", "tunnel-acme is set, but tunnel-domain is not") }
            if self[Settings.tunnelCertificate] != nil {
                add("tunnel-acme", "tunnel-acme and tunnel-certificate cannot be combined")
            }
            if !self[Settings.acmeAgree] {
                add("tunnel-acme", "tunnel-acme: read the authority's terms, then set acme-agree: yes")
            }
            if self[Settings.tunnelACME] == .hook && self[Settings.tunnelDNSHook] == nil {
                add("tunnel-acme", "tunnel-acme is hook, but tunnel-dns-hook is not set")
            }
            if self[Settings.tunnelACME] == .responder && self[Settings.tunnelDNS] == .off {
                add("tunnel-dns", "tunnel-acme is responder, but tunnel-dns is off")
            }
        }
        guard let domain = self[Settings.tunnelDomain] else {
            if self[Settings.tunnelCertificate] != nil {
                add("tunnel-certificate", "tunnel-certificate is set, but tunnel-domain is not")
            }
            return
        }
        if self[Settings.https] == .off { add("tunnel-domain", "tunnels with names need https, which is off") }
        let own =
            [self[Settings.publicURL].flatMap(Self.host)].compactMap { $0 }
            + self[Settings.tlsNames].map { $0.lowercased() }
        for host in own where host == domain || host.hasSuffix(".\(domain)") || domain.hasSuffix(".\(host)") {
            // tls-names may contain the wildcard itself.
            if host == "*.\(domain)" { continue }
            add(
                "tunnel-domain",
                "tunnel-domain \(domain) and this server's own name \(host) overlap: a tunnel's pages could set cookies for the server; use a second domain, as in t.example.net"
            )
        }
    }

    private static func host(of url: String) -> String? {
        let rest = url.split(separator: "://", maxSplits: 1).last.map(String.init) ?? url
        let host = rest.lowercased().prefix { $0 != "/" && $0 != ":" }
        return host.isEmpty ? nil : String(host)
    }

    private mutating func people() {
        guard let password = self[Settings.adminPassword] else { return }
        let name = self[Settings.adminName]
        if !AccountRules.isUsername(name) {
            add("admin-name", "admin-name '\(name)' is not an account name: \(AccountRules.usernameRule)")
        }
        if !AccountRules.isPassword(password) { add("admin-password", "admin-password: \(AccountRules.passwordRule)") }
    }

    private mutating func plans() {
        let standard = self[Settings.planDefault].rawValue
        for problem in PlanCatalogue().configure(standard: standard, changes: self[Settings.planLimits]) {
            add("plan-limits", "plan-limits: \(problem)")
        }
    }

    private mutating func providers() {
        if self[Settings.oidcClientId] != nil && self[Settings.oidcIssuer] == nil {
            add("oidc-client-id", "oidc-client-id is set, but oidc-issuer is not")
        }
    }

    private mutating func mail() {
        guard let host = self[Settings.smtpHost] else { return }
        if self[Settings.smtpFrom].map(AccountRules.isEmail) != true {
            add(
                self[Settings.smtpFrom] == nil ? "smtp-host" : "smtp-from",
                "smtp-host is set, but smtp-from is not an address")
        }
        if self[Settings.smtpSecurity] == .none && !["localhost", "127.0.0.1", "::1"].contains(host) {
            add(
                "smtp-security",
                "smtp-security none is only for a mail server on this machine, but smtp-host is \(host)")
        }
    }
}
