import Files
import Model
import TestSupport
import Testing
import Wire

@testable import Agent

@Suite struct AgentSettingsTests {
    private func problems(_ yaml: String) -> [String] {
        do {
            _ = try AgentSettings.parse(yaml)
            return []
        } catch { return error.sentences }
    }

    @Test func everyKindOfTunnelIsRead() throws {
        let settings = try AgentSettings.parse(
            """
            # What this machine serves.
            tunnels:
              web:
                http: https://127.0.0.1:8443
                name: demo
                basic-auth: [ana:correct-horse, "ben:battery: staple"]
                allow:
                  - 203.0.113.0/24
                timeout: 60
                upstream-insecure: yes
              site:
                directory: /srv/site
                list: true
              ssh: {tcp: 22, port: 20001, proxy-protocol: on}
              vault:
                tls: 8443
            """)
        #expect(settings.tunnels.keys.sorted() == ["site", "ssh", "vault", "web"])
        let web = try #require(settings.tunnels["web"])
        #expect(
            web.kind == .http && web.name == "demo" && web.target == "https://127.0.0.1:8443" && web.upstreamInsecure)
        #expect(web.options.policy?.basicAuth == ["ana:correct-horse", "ben:battery: staple"])
        #expect(
            web.options.policy?.allow == ["203.0.113.0/24"] && web.options.headTimeout == 60
                && web.options.keepAlive == 4)
        let ssh = try #require(settings.tunnels["ssh"])
        #expect(ssh.kind == .tcp && ssh.port == 20001 && ssh.proxyProtocol && ssh.options.keepAlive == nil)
        #expect(settings.tunnels["site"]?.isDirectory == true && settings.tunnels["site"]?.lists == true)
        #expect(settings.tunnels["vault"]?.kind == .tls)
    }

    @Test func policiesAreReadAsOptionsAre() throws {
        let settings = try AgentSettings.parse(
            """
            tunnels:
              web:
                http: 3000
                private: true
                members: [ana, ben]
                rate-limit: 60
                rate-by: X-Key
                max-requests: 5
                breaker: 5/30
                request-headers: ["X-Env: test"]
                remove-request-headers: [User-Agent]
                response-headers: ["X-Frame-Options: DENY"]
                remove-response-headers: [Server]
            """)
        let policy = try #require(settings.tunnels["web"]?.options.policy)
        #expect(policy.members == ["ana", "ben"] && policy.rate == RatePolicy(perMinute: 60, header: "X-Key"))
        #expect(policy.concurrency == 5 && policy.breaker == BreakerPolicy(failures: 5, seconds: 30))
        #expect(policy.requestHeaders == HeaderEdits(set: ["X-Env": "test"], remove: ["User-Agent"]))
        #expect(policy.responseHeaders == HeaderEdits(set: ["X-Frame-Options": "DENY"], remove: ["Server"]))
    }

    @Test(arguments: ["", "# nothing yet", "tunnels:", "tunnels: {}", "---\n"])
    func nothingIsNoTunnels(yaml: String) throws {
        #expect(try AgentSettings.parse(yaml).tunnels.isEmpty)
    }

    @Test(arguments: [
        (
            "tunnels:\n  ssh: {tcp: 22, private: true}",
            "line 2: ssh: 'private' goes with directory and http, not with tcp"
        ),
        (
            "tunnels:\n  web:\n    http: 1\n    breaker: x",
            "line 4: web: 'breaker' must be FAILURES/SECONDS, as in 5/30, not 'x'"
        ),
        ("tunnels:\n  web:\n    http: 1\n    rate-by: X", "line 4: web: 'rate-by' needs 'rate-limit'"),
        (
            "tunnels:\n  web:\n    http: 1\n    bearer-keys: /nowhere",
            "line 4: web: /nowhere: no such file or directory"
        ),
        (
            "tunnels:\n  web:\n    http: 1\n    verify: gitlab:x",
            "line 4: web: 'verify': must be stripe:FILE, github:FILE, slack:FILE or hmac:HEADER:FILE, not 'gitlab:x'"
        ),
        ("web: 3000", "line 1: unknown key 'web'; only 'tunnels' is allowed"),
        ("- a", "line 1: the file must begin with 'tunnels:'"),
        ("tunnels: [a]", "line 1: 'tunnels' must contain labels, each with its settings"),
        ("tunnels:\n  web: 3000", "line 2: web: a tunnel needs http, directory, tcp or tls, as in 'http: 3000'"),
        ("tunnels:\n  web:\n    htpp: 3000", "line 3: web: unknown key 'htpp'; did you mean 'http'?"),
        (
            "tunnels:\n  web:\n    http: 3000\n    tcp: 22",
            "line 2: web: a tunnel needs one of http, directory, tcp and tls, and has several"
        ),
        ("tunnels:\n  web:\n    http: 0", "line 3: web: '0' is not a port or an address; use 3000 or 127.0.0.1:3000"),
        ("tunnels:\n  web:\n    http: 1\n    allow: []", "line 4: web: 'allow' must be a list of texts, and not empty"),
        (
            "tunnels:\n  web:\n    http: 1\n    basic-auth: secret",
            "line 4: web: 'basic-auth': an entry must be NAME:PASSWORD, with a password of at least 8 characters"
        ),
        (
            "tunnels:\n  web:\n    http: 1\n    basic-auth-file: /no/such/file",
            "line 4: web: /no/such/file: no such file or directory"
        ),
        ("tunnels:\n  web:\n    http: 1\n    timeout: 0", "line 4: web: 'timeout' must be 1 to 3600, not '0'"),
        ("tunnels:\n  web:\n    http: 1\n    list: maybe", "line 4: web: 'list' goes with directory, not with http"),
        ("tunnels:\n  web:\n    directory: site", "line 3: web: a directory must be an absolute path, as in /srv/site"),
        (
            "tunnels:\n  web:\n    tcp: 1\n    name: x",
            "line 4: web: 'name' goes with directory and http and tls, not with tcp"
        ),
        ("tunnels:\n  web: {http: 1}\n  web: {http: 2}", "line 3: 'web' is already set on line 2"),
        (
            "tunnels:\n  we b: {http: 1}",
            "line 2: we b: a label must be 1 to 63 letters, digits, dots, hyphens and underscores"
        ),
        ("tunnels: {}\n---\ntunnels: {}", "line 2: a second document begins here; the file must have only one"),
        ("tunnels:\n  web:\n    http: 1\n    name: ~", "line 4: web: 'name' is empty"),
        ("a: &x 1\nb: *x", "line 2: anchors and aliases cannot be used here"),
        ("tunnels: [[[[[[[[[[1]]]]]]]]]]", "line 1: this is nested too deeply"),
    ])
    func mistakesAreNamedWithTheirLines(yaml: String, sentence: String) {
        #expect(problems(yaml).contains(sentence), "\(problems(yaml))")
    }

    @Test func whatIsRightIsServedBesideMistakes() throws {
        let path = try TemporaryDirectory.make() + "/agent.yml"
        try Files.WholeFile.write("tunnels:\n  web: {http: 3000}\n  bad: {tcp: x}\n".utf8, to: path)
        let (settings, problems) = AgentSettings.whatIsRight(in: path)
        #expect(settings.tunnels.keys.sorted() == ["web"] && problems.count == 1)
    }

    @Test func anyBytesAreReadOrRefused() {
        mutated(["tunnels:\n  web:\n    http: 3000\n    allow: [a, b]\n", "tunnels: {a: {tcp: 1}}"]) { bytes in
            _ = try? AgentSettings.parse(String(decoding: bytes, as: UTF8.self))
        }
    }
}

@Suite struct MachineVitalsTests {
    @Test func whatLinuxSaysIsRead() {
        #expect(MachineVitals.load("0.20 0.18 12.00 1/80 11206\n") == [0.2, 0.18, 12])
        #expect(MachineVitals.load("nothing") == [0, 0, 0])
        let memory = MachineVitals.memory("MemTotal:        8048868 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n")
        #expect(memory == (8_048_868 << 10, 4_000_000 << 10))
        #expect(MachineVitals.uptime("350735.47 234388.90\n") == 350_735)
    }

    @Test func thisMachineHasPlausibleOnes() {
        let report = MachineVitals.report(directory: "/", tunnels: 3)
        #expect(report.isPlausible && report.memoryTotal > 0 && report.diskTotal > 0 && report.tunnels == 3)
    }
}

@Suite struct TunnelChangesTests {
    private func settings(_ yaml: String) throws -> AgentSettings { try AgentSettings.parse(yaml) }

    private func tunnel(_ id: String, _ label: String?, name: String) -> DeclaredTunnel {
        DeclaredTunnel(id: id, label: label, kind: .http, name: name, port: nil, url: "https://\(name).t")
    }

    @Test func leftoversAreWhatNothingWantsByLabelOrName() throws {
        let known = [tunnel("1", "a", name: "one"), tunnel("2", "b", name: "two"), tunnel("3", nil, name: "three")]
        func left(_ yaml: String) throws -> [String] { TunnelChanges.leftovers(known, try settings(yaml)).map(\.id) }
        #expect(try left("tunnels: {a: {http: 1}, b: {http: 1}}") == ["3"])
        // Another label, the same name.
        #expect(try left("tunnels: {c: {http: 1, name: one}, b: {http: 1}}") == ["3"])
        // The same label, another name; and another kind.
        #expect(try left("tunnels: {a: {http: 1, name: new}, b: {tcp: 1}}") == ["1", "2", "3"])
        #expect(try left("tunnels: {x: {http: 1, name: three}}") == ["1", "2"])
    }

    @Test func aDifferenceSaysWhatStays() throws {
        let before = try #require(try settings("tunnels: {web: {http: 1, basic-auth: 'a:12345678'}}").tunnels["web"])
        let running = [
            "web": TunnelChanges.Running(
                wanted: before, known: tunnel("1", "web", name: "one"), isOnline: true, problem: nil)
        ]
        let known = [tunnel("1", "web", name: "one")]
        let changed = TunnelChanges.differences(
            running, try settings("tunnels: {web: {http: 2, basic-auth: 'a:87654321'}}"), known)
        #expect(changed.map(\.change) == [.change])
        #expect(changed.first?.after == "http https://one.t -> 2 (different passwords)")
        let same = try settings("tunnels: {web: {http: 1, basic-auth: 'a:12345678'}}")
        #expect(TunnelChanges.differences(running, same, known).map(\.change) == [.none])
        // Without a link nothing is online, and that is no difference.
        let away = running.mapValues {
            TunnelChanges.Running(wanted: $0.wanted, known: $0.known, isOnline: false, problem: nil)
        }
        #expect(TunnelChanges.differences(away, same, nil).map(\.change) == [.none])
        #expect(TunnelChanges.differences(away, same, known).map(\.change) == [.change])
        #expect(TunnelChanges.differences([:], AgentSettings(), known).map(\.change) == [.remove])
    }
}
