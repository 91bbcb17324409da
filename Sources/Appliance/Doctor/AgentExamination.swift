import Agent
import Client
import FoundationEssentials
import Glibc
import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Outbound
import TransportSecurity

/// The checks of `postern doctor` on an enrolled machine: its connection to the server, and the services in `agent.yml`.
enum AgentExamination {
    /// The difference in seconds above which a clock is reported as wrong.
    private static let clockTolerance = 300
    private static let timeout = TimeAmount.seconds(5)

    static func findings(_ machine: MachineState, settings: String) async -> [Finding] {
        let enrolment: MachineState.Enrolment
        let key: CertificatePair
        let address: ServerAddress
        do {
            guard let found = try machine.enrolment(), let pair = try machine.key() else {
                return [Finding("machine", bad: "is not enrolled; run 'postern machine enroll'")]
            }
            (enrolment, key, address) = (found, pair, try found.address())
        } catch { return [Finding("machine", bad: "\(error)")] }
        var findings = [Finding("machine", good: "\(enrolment.name) at \(enrolment.url)")]
        findings += proxy()
        findings += name(address)
        findings += await https(address)
        findings += await ways(enrolment, address, key)
        findings += await agent(machine)
        return findings + (await services(settings, machine))
    }

    // MARK: Connection to the server

    private static func proxy() -> [Finding] {
        do {
            guard let proxy = try Proxy.environment(ProcessInfo.processInfo.environment) else { return [] }
            return [
                Finding(
                    "proxy",
                    good:
                        "\(proxy.host):\(proxy.port), from this environment; the service has its own: systemctl edit postern-agent, Environment=HTTPS_PROXY=…"
                )
            ]
        } catch { return [Finding("proxy", bad: "\(error)")] }
    }

    private static func name(_ address: ServerAddress) -> [Finding] {
        // The proxy looks the name up.
        if let proxy = try? Proxy.environment(ProcessInfo.processInfo.environment), proxy.applies(to: address.host) {
            return []
        }
        var hints = addrinfo()
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(address.host, nil, &hints, &list)
        defer { freeaddrinfo(list) }
        guard status == 0 else {
            return [
                Finding(
                    "name",
                    bad:
                        "\(address.host) cannot be resolved (\(String(cString: gai_strerror(status)))); check /etc/resolv.conf, or use a proxy"
                )
            ]
        }
        var found: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                found.append(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
            }
            next = entry.pointee.ai_next
        }
        return [Finding("name", good: "\(address.host) resolves to \(found.prefix(4).joined(separator: ", "))")]
    }

    /// Checks the server's public HTTPS address: whether it responds, with which certificate, and its time.
    private static func https(_ address: ServerAddress) async -> [Finding] {
        do {
            let connector = Connector(
                group: MultiThreadedEventLoopGroup.singleton,
                proxy: try Proxy.environment(ProcessInfo.processInfo.environment),
                connectTimeout: timeout)
            func ask(_ tls: TLSContext?) async throws -> HTTPAnswer {
                try await HTTPClient(connector).exchange(
                    Endpoint(host: address.host, port: address.port, tls: tls),
                    HTTPRequest(.GET, "/health", headers: ["Host": address.authority], deadline: timeout))
            }
            let answer: HTTPAnswer
            var belief = address.isSecure ? ", with a trusted certificate" : ", without TLS"
            do { answer = try await ask(try address.tls()) } catch let error as TLSError where error.code == .untrusted
            {
                // The link identifies the server by another key. The server's time can be requested anyway.
                answer = try await ask(try ClientContexts.context(.anyone))
                belief =
                    ", with a different certificate than at enrolment; the connection is not affected, it relies on the server's own key"
            }
            var findings = [
                answer.status == 200
                    ? Finding("server", good: "responds\(belief)")
                    : Finding(
                        "server", bad: "responds with status \(answer.status); is \(address) still a Postern server?")
            ]
            if let there = answer.headers.first(name: "date").flatMap(HTTPDate.seconds) {
                let off = time(nil) - there
                findings.append(
                    abs(off) <= clockTolerance
                        ? Finding("clock", good: "matches the server's within \(abs(off)) s")
                        : Finding(
                            "clock",
                            bad:
                                "is \(abs(off)) s \(off > 0 ? "ahead of" : "behind") the server's; the connection is not affected, but other certificates are: timedatectl set-ntp true"
                        ))
            }
            return findings
        } catch { return [Finding("server", bad: "does not respond: \(NetworkError.sentence(error))")] }
    }

    private static func ways(
        _ enrolment: MachineState.Enrolment, _ address: ServerAddress, _ key: CertificatePair
    ) async -> [Finding] {
        guard let pinned = Fingerprint(enrolment.linkKey) else {
            return [
                Finding("link", bad: "the enrolment has no key of the server; run 'postern machine enroll' again")
            ]
        }
        var findings: [Finding] = []
        var isOpen = false
        for way in LinkWay.allCases {
            do {
                let problem = try await LinkProbe.problem(of: way, to: address, key: pinned, as: key)
                isOpen = isOpen || problem == nil
                findings.append(
                    problem.map { Finding("link", bad: "\(way.text): \($0)") }
                        ?? Finding("link", good: "\(way.text) reaches the server"))
            } catch { findings.append(Finding("link", bad: "\(error)")) }
        }
        // One path to the server is enough.
        guard isOpen else { return findings }
        return findings.map { $0.isGood ? $0 : Finding("link", good: "\($0.text) (not needed)") }
    }

    // MARK: This machine

    private static func agent(_ machine: MachineState) async -> [Finding] {
        do {
            guard let status = try await ControlClient.ask(.status, at: machine.socketPath) else {
                return [Finding("agent", bad: "is not running; sudo systemctl start postern-agent, or 'postern agent'")]
            }
            return [
                status.isOnline == true
                    ? Finding("agent", good: "connected since \(status.since ?? "")")
                    : Finding("agent", bad: "not connected: \(status.reason ?? "")")
            ]
        } catch { return [Finding("agent", bad: "\(error)")] }
    }

    /// Checks whether the services in `agent.yml` exist.
    private static func services(_ path: String, _ machine: MachineState) async -> [Finding] {
        let settings: AgentSettings
        do {
            if path == AgentCommand.standardSettings && access(path, F_OK) != 0 { return [] }
            settings = try AgentSettings.read(path)
        } catch { return error.sentences.map { Finding("settings", bad: $0) } }
        var findings = [Finding("settings", good: "\(path) has no mistakes; \(settings.tunnels.count) tunnels")]
        for tunnel in settings.tunnels.values.sorted(by: { $0.label < $1.label }) {
            findings.append(await service(tunnel, machine))
        }
        return findings
    }

    /// Whether the agent may read a directory: root may read nearly everything, but the service has another user.
    private static func canRead(_ path: String, as machine: MachineState) -> Bool {
        var owner = stat()
        guard geteuid() == 0, stat(machine.directory, &owner) == 0, owner.st_uid != 0 else {
            return access(path, R_OK | X_OK) == 0
        }
        setegid(owner.st_gid)
        seteuid(owner.st_uid)
        defer {
            seteuid(0)
            setegid(0)
        }
        return faccessat(AT_FDCWD, path, R_OK | X_OK, AT_EACCESS) == 0
    }

    private static func service(_ tunnel: AgentTunnel, _ machine: MachineState) async -> Finding {
        let name = "tunnel \(tunnel.label)"
        if tunnel.isDirectory {
            return canRead(tunnel.target, as: machine)
                ? Finding(name, good: "\(tunnel.target) can be read")
                : Finding(
                    name,
                    bad:
                        "\(tunnel.target) cannot be read by the agent: \(String(cString: strerror(errno)).lowercased()); give its user read access"
                )
        }
        guard let address = ServiceAddress(tunnel.target) else { return Finding(name, bad: "no service") }
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(timeout).connect(host: address.host, port: address.port).get()
            try? await channel.close()
            return Finding(name, good: "\(address.text) accepts connections")
        } catch {
            return Finding(name, bad: "\(address.text): \(NetworkError.sentence(error)); is the service running?")
        }
    }
}

/// The `Date` of an HTTP response (RFC 9110, section 5.6.7).
enum HTTPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// - Returns: epoch seconds.
    static func seconds(_ text: String) -> Int? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), let year = Int32(words[3]),
            let month = months.firstIndex(of: String(words[2]))
        else { return nil }
        let clock = words[4].split(separator: ":").compactMap { Int32($0) }
        guard clock.count == 3 else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
        return timegm(&parts)
    }
}
