import Agent
import ArgumentParser
import CPlatform
import Client
import Database
import Glibc
import Logging
import Model
import NIOCore
import NIOPosix
import TransportSecurity
import UnixSignals

/// `postern agent`: connects to the server and serves the tunnels in `agent.yml`.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Keeps an enrolled machine connected and serves its tunnels.",
        discussion: """
            Example: postern agent --settings ./agent.yml --state ./machine

            The package runs it as the service postern-agent once the machine is enrolled. SIGHUP reloads the settings: \
            unchanged tunnels are not interrupted. 'postern tunnels diff' shows what would change, and \
            'postern tunnels apply' applies it. At startup, tunnels with mistakes are skipped and reported in the log and \
            by 'postern machine status'; --check reports the mistakes and exits.
            """)

    static let standardSettings = "/etc/postern-agent/agent.yml"

    @OptionGroup var state: MachineStateOption

    @Option(help: ArgumentHelp("This machine's tunnel settings.", valueName: "file"))
    var settings = AgentCommand.standardSettings

    @Option(help: ArgumentHelp("debug, info, notice, warning or error.", valueName: "level"))
    var logLevel = LogLevel.info

    @Flag(help: "Only check the settings for mistakes.")
    var check = false

    enum LogLevel: String, ExpressibleByArgument, CaseIterable { case debug, info, notice, warning, error }

    func run() async throws {
        umask(0o077)
        postern_raise_file_limit()
        if check {
            let count = try Self.read(settings).tunnels.count
            return Output.line("\(settings) has no mistakes; \(count) tunnels.")
        }
        let machine = state.machine
        guard let enrolment = try machine.enrolment(), let key = try machine.key() else {
            throw ClientError(
                "this machine is not enrolled (\(machine.directory)); run 'postern machine invite' where you are signed in"
            )
        }
        try machine.makeDirectory()
        try machine.lock()
        LogSettings.shared.level = Logger.Level(rawValue: logLevel.rawValue) ?? .info
        let hasTime = !ServeCommand.isJournal(2)
        LoggingSystem.bootstrap { _ in LineLogHandler(format: .logfmt, hasTime: hasTime) }
        let logger = Logger(label: "postern-agent")
        // A mistake in the file that was not noticed yet must not disable everything else after a reboot.
        let (first, problems) =
            Self.hasNoFile(settings) ? (AgentSettings(), []) : AgentSettings.whatIsRight(in: settings)
        for problem in problems { logger.error("the settings have a mistake", metadata: ["problem": "\(problem)"]) }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let configuration = AgentRunner.Configuration(
            state: machine, enrolment: enrolment, key: key, settingsPath: settings,
            software: "postern \(Postern.version)", onStatus: { Systemd.status($0) })
        let runner = try await loop.submit {
            NIOLoopBound(try AgentRunner(configuration, loop: loop, logger: logger), eventLoop: loop)
        }.get()
        let control = try await loop.flatSubmit { ControlServer.listen(machine.socketPath, for: runner.value) }.get()
        let stopped = try await loop.submit { runner.value.start(first, problems: problems) }.get()
        let watchdog = Self.feedWatchdog(from: loop)
        Systemd.ready("connecting to \(enrolment.url)")
        let signals = Task { await Self.obey(runner, loop, settings, logger) }
        try await stopped.get()
        signals.cancel()
        watchdog?.cancel()
        try? await control.close()
        unlink(machine.socketPath)
        logger.info("stopped")
    }

    private static func hasNoFile(_ path: String) -> Bool { path == standardSettings && access(path, F_OK) != 0 }

    /// A missing file means no tunnels: a machine that was just enrolled has none.
    private static func read(_ path: String) throws -> AgentSettings {
        if hasNoFile(path) { return AgentSettings() }
        do { return try AgentSettings.read(path) } catch {
            throw ClientError("\(error.sentences.joined(separator: "\n"))", status: .usage)
        }
    }

    private static func obey(
        _ runner: NIOLoopBound<AgentRunner>, _ loop: any EventLoop, _ settings: String, _ logger: Logger
    ) async {
        for await signal in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
            guard signal == .sighup else {
                Systemd.stopping(seconds: 5)
                loop.execute { runner.value.stop() }
                continue
            }
            Systemd.reloading()
            do {
                let read = try Self.read(settings)
                try await loop.submit { runner.value.take(read) }.get()
                logger.info("reloaded", metadata: ["tunnels": "\(read.tunnels.count)"])
            } catch {
                logger.error("reload failed; the previous settings stay in use", metadata: ["error": "\(error)"])
            }
            Systemd.ready(try? await loop.submit { runner.value.summary }.get())
        }
    }

    /// Runs on the loop that does all the work: if the loop hangs, the watchdog is not fed.
    private static func feedWatchdog(from loop: any EventLoop) -> RepeatedTask? {
        guard let interval = Systemd.watchdogInterval else { return nil }
        let pause = TimeAmount.microseconds(Int64(interval / 3))
        return loop.scheduleRepeatedTask(initialDelay: .zero, delay: pause) { _ in Systemd.feedWatchdog() }
    }
}

/// `postern tunnels diff` and `apply`: shows the changes that `agent.yml` would make, and applies them.
struct TunnelDiff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Shows what applying this machine's agent.yml would change.",
        discussion: "Example: sudo postern tunnels diff")

    @OptionGroup var state: MachineStateOption

    @Flag(help: "Print one JSON object per line.")
    var json = false

    func run() async throws {
        let answer = try await AgentQuestion.ask(.diff, state)
        let differences = answer.differences ?? []
        if json { return differences.forEach { Output.json($0) } }
        if let reason = answer.reason {
            Output.error("postern: \(reason); only the tunnels that the agent serves are compared")
        }
        let changed = differences.filter { $0.change != .none }
        guard !changed.isEmpty else {
            return Output.line("Nothing would change; \(differences.count) tunnels match agent.yml.")
        }
        for one in changed {
            switch one.change {
            case .add: Output.line("+ \(one.label): \(one.after ?? "")")
            case .remove: Output.line("- \(one.label): \(one.before ?? "")")
            case .change: Output.line("~ \(one.label): \(one.before ?? "")\n      becomes \(one.after ?? "")")
            case .none: break
            }
        }
        Output.line("Run 'sudo postern tunnels apply' to apply this.")
    }
}

struct TunnelApply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Applies this machine's agent.yml; tunnels removed from it are released.",
        discussion: "Example: sudo postern tunnels apply")

    @OptionGroup var state: MachineStateOption

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let answer = try await AgentQuestion.ask(.apply, state)
        let tunnels = answer.tunnels ?? []
        if json { Output.json(answer) } else { MachineStatus.show(tunnels: tunnels) }
        for problem in answer.problems ?? [] { Output.error("postern: \(problem)") }
        if answer.problems != nil || tunnels.contains(where: { $0.state != "online" }) { throw ExitCode(1) }
    }
}

/// Sends a request to the agent of this machine.
enum AgentQuestion {
    static func ask(_ verb: ControlRequest.Verb, _ state: MachineStateOption) async throws -> ControlAnswer {
        if let answer = try await ControlClient.ask(verb, at: state.machine.socketPath) { return answer }
        throw ClientError(
            state.machine.isEnrolled
                ? "the agent is not running; start it: \(state.startCommand)"
                : "this machine is not enrolled; run 'postern machine invite' where you are signed in",
            status: .tryAgain)
    }
}
