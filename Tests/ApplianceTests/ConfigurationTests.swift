import ArgumentParser
import Storage
import Testing

@testable import Appliance

@Suite struct ConfigurationTests {
    private let postern: CommandLineUnderTest

    init() throws { postern = try CommandLineUnderTest() }

    private func configuration(_ yaml: String, flags: [String: String] = [:]) throws -> Configuration {
        Configuration(file: try postern.file("postern.yml", yaml), flags: flags)
    }

    @Test func flagsWinOverTheFileAndTheFileOverDefaults() throws {
        let read = try configuration("host-return: 60\nguest-return: 30\n", flags: ["guest-return": "10"])
        #expect(read.problems.isEmpty)
        #expect(read[Settings.hostReturn] == 60 && read["host-return"]?.source == "line 1")
        #expect(read[Settings.guestReturn] == 10 && read["guest-return"]?.source == "--guest-return")
        #expect(read[Settings.joinsPerMinute] == 60 && read["joins-per-minute"]?.source == "default")
    }

    @Test func everyKindIsReadAsItsType() throws {
        let read = try configuration(
            """
            tls-mode: files
            tls-certificate: [/a.pem, /b.pem]
            tls-key: [/a.key, /b.key]
            https: "*:443"
            public-numbers: yes
            plan-default: pro
            log-level: debug
            """)
        #expect(read.problems.isEmpty, "\(read.problems)")
        #expect(read[Settings.tlsMode] == .files && read[Settings.tlsCertificate] == ["/a.pem", "/b.pem"])
        #expect(read[Settings.https] == .at(host: "*", port: 443) && read[Settings.http] == .off)
        #expect(read[Settings.publicNumbers] && !read[Settings.logAddresses])
        #expect(read[Settings.planDefault] == .pro && read[Settings.logLevel] == .debug)
        #expect(read[Settings.smtpHost] == nil && read[Settings.eventLoops] == nil)
    }

    @Test(arguments: [
        ("hosst-return: 5", "did you mean 'host-return'"), ("host-return: never", "must be a number from 1 to 86400"),
        ("tls-mode: magic", "must be one of self-signed, files, acme"), ("https: 443", "must be HOST:PORT"),
        ("host-return: 5\nhost-return: 6", "is already set on line 1"), ("- a list", "something else"),
        ("http: off\nhttps: off", "turn one on"), ("tls-mode: acme", "tls-names is not set"),
        ("plan-limits: [gold.maxShares=1]", "there is no plan gold"),
        ("smtp-host: mail.example", "smtp-from is not an address"),
        ("public-url: https://box.example\ntunnel-domain: box.example", "overlap"),
        ("public-url: https://box.example\ntunnel-domain: t.box.example", "overlap"),
        ("public-url: https://box.t.example\ntunnel-domain: t.example", "overlap"),
        ("tls-names: [box.example]\ntunnel-domain: t.box.example", "overlap"),
        ("tunnel-domain: example", "must be a domain in lower case"),
        ("tunnel-domain: '*.t.example'", "must be a domain in lower case"),
        ("tunnel-domain: t.example\ntunnel-key: /k", "go together"),
        ("tunnel-certificate: /c\ntunnel-key: /k", "tunnel-domain is not"),
        ("tunnel-domain: t.example\nhttps: off\nhttp: '*:80'", "tunnels with names need https"),
        ("tunnel-ports: 5-1", "must be a range of ports"),
        ("tunnel-ports: 1-70000", "must be a range of ports"),
        ("tunnel-domain: t.example\ntunnel-acme: hook\nacme-agree: yes", "tunnel-dns-hook is not set"),
        ("tunnel-domain: t.example\ntunnel-acme: responder", "set acme-agree: yes"),
        ("tunnel-acme: responder\nacme-agree: yes", "tunnel-domain is not"),
    ])
    func mistakesAreNamed(yaml: String, problem: String) throws {
        let problems = try configuration(yaml).problems
        #expect(problems.contains { $0.contains(problem) }, "\(problems)")
    }

    /// Two names of one registered domain are allowed and advised against.
    @Test func whatIsBetterOtherwiseIsSaid() throws {
        func advice(_ own: String, _ domain: String) throws -> Bool {
            let read = try configuration("public-url: https://\(own)\ntunnel-domain: \(domain)")
            #expect(read.problems.isEmpty, "\(read.problems)")
            return !Preflight.advice(read).isEmpty
        }
        #expect(try advice("box.example.org", "t.example.org") && advice("box.example.co.uk", "t.example.co.uk"))
        #expect(try !advice("box.example.org", "t.example.net"))
        #expect(try !advice("box.one.co.uk", "t.two.co.uk"))
    }

    /// Flags are made from the settings: each that is no secret is one, and reaches the configuration.
    @Test func everySettingIsAFlagOfServe() async throws {
        let help = await postern("serve", "--help").output
        for setting in Setting.all {
            #expect(help.contains("--\(setting.key) ") == !setting.isSecret, "\(setting.key)")
        }
        let options = try ServeOptions.parse(["--host-return", "7", "--tls-mode", "files", "--plan-limits", "a,b"])
        #expect(options.values == ["host-return": "7", "tls-mode": "files", "plan-limits": "a,b"])
        #expect(throws: (any Error).self) { try ServeOptions.parse(["--admin-password", "x"]) }
        #expect(Set(Setting.all.map(\.key)).count == Setting.all.count)
    }
}
